"""The page's own file picker refuses what the library refuses, in the same words, and does not hang."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metta.common.errors import UserError
from metta.eval.replay.file import CHUNK, parse_replay
from metta.eval.replay.numbers import pack
from tests.eval.replay.test_file import joined, split, with_first_chunk, with_header
from tests.view.conftest import Played, make_match, play
from tests.view.header_schema import PATH, header_schema

pytestmark = pytest.mark.browser
Damage = Callable[[bytes], bytes]
HEADERS: list[dict[str, Any]] = [
    {"map": ["." * 4000] * 4000},
    {"map": ["." * 9000]},
    {"map": ["."] * 9000},
    {"map": ["." * 1025] * 1024},
    {"map": ["..", "."]},
    {"map": "no list"},
    {"agents": []},
    {"agents": [{"team": 9, "group": 0, "policy": 0}]},
    {"agents": [{"team": 0, "group": 0, "policy": 0}] * 300},
    {"objects": [{"type": 99, "row": 0, "col": 0}]},
    {"objects": [{"type": 0, "row": -1, "col": 0}]},
    {"max_steps": 50},
    {"max_steps": 10_000_001},
    {"max_steps": "many"},
    {"mission": "x" * 100_000},
    {"collectives": ["a"] * 100},
    {"radius": 1001},
    {"values": None},
    {"sight": {"features": []}},
    {"sight": "sharp"},
    {"types": [7]},
    {"limits": [{"items": [], "least": 0, "most": 0, "bonus": [], "add": True}]},
    {"mission": {"a": 1}},
    {"radius": [1, "a", None, True]},
    {"seed": 1.5},
    {"limits": [{"items": [], "least": 0, "most": 0, "bonus": {"a": "x"}, "add": True}]},
]


def refusal(page: Any, data: bytes) -> str:
    page.set_input_files("#file", {"name": "hostile.replay", "mimeType": "", "buffer": data})
    page.wait_for_selector(".failure")
    return page.inner_text(".failure").removeprefix("The replay cannot be opened: ")


def library_refusal(data: bytes) -> str:
    with pytest.raises(UserError) as caught:
        parse_replay(data, "x").check()
    return str(caught.value).removeprefix("x: ")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return play(make_match(steps=150), tmp_path_factory.mktemp("short") / "short.replay").path.read_bytes()


@pytest.fixture
def picker(page: Any, tmp_path: Path) -> Callable[[bytes], str]:
    """What the page says of a file."""

    def pick(data: bytes) -> str:
        page.goto((Path(__file__).parents[2] / "metta/view/page/index.html").as_uri())
        return refusal(page, data)

    return pick


def test_the_limits_that_the_page_was_built_with_are_those_of_the_library():
    assert PATH.read_text() == header_schema(), "python -m tests.view.header_schema"


def test_a_header_that_does_not_fit_is_refused_in_the_same_words(picker: Callable[[bytes], str], short: bytes):
    for changes in HEADERS:
        data = with_header(short, **changes)
        assert picker(data) == library_refusal(data), str(changes)[:60]


def test_what_is_cut_off_endless_or_of_another_kind_is_refused_in_the_same_words(
    picker: Callable[[bytes], str], short: bytes
):
    header, chunks = split(short)
    top = json.dumps(header).encode()
    for data in (
        b"COGREPL",
        b"PK\3\4" + bytes(100),
        short[:8] + struct.pack("<I", 2) + short[12:],
        short[:12] + struct.pack("<I", 2**32 - 1) + short[16:],
        short[:-1],
        joined(top, b""),
        joined(top, chunks + CHUNK.pack(700, 1, 0)),
        joined(bytes(30_000_000), b""),
        with_first_chunk(short, bytes(30_000_000)),
        with_first_chunk(short, pack(np.zeros(parse_replay(short, "x").header.size, np.int64)) + b"\x01", steps=1),
    ):
        assert picker(data) == library_refusal(data)


def test_a_step_that_changes_what_is_not_there_is_refused(picker: Callable[[bytes], str], short: bytes):
    size = parse_replay(short, "x").header.size
    body = pack(np.concatenate([np.zeros(size, np.int64), [1, size, 2]]))
    data = with_first_chunk(short, body, steps=2)
    assert picker(data) == library_refusal(data) == "damaged replay: a step is cut off or changes what is not there"


def test_what_would_hold_the_page_up_for_minutes_is_refused(picker: Callable[[bytes], str], played: Played):
    header, _ = split(played.path.read_bytes())
    junction = next(i for i, kind in enumerate(header["types"]) if kind["name"] == "junction")
    many = {
        "objects": [{"type": junction, "row": 5, "col": 5}] * 65_000,
        "radius": 1000, "map": ["." * 1024] * 1024,
    }  # fmt: skip
    assert "are too much for a page" in picker(with_header(played.path.read_bytes(), **many))
