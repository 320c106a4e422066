"""Replay files come from anywhere: what is damaged or hostile is refused in one line, quickly and in little memory."""

import json
import os
import random
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from metta.common.errors import UserError
from metta.eval.replay.file import CHUNK, START, encode_deltas, parse_replay, read_replay
from metta.eval.replay.header import ReplayHeader
from metta.eval.replay.numbers import fold, pack, unfold, unpack

NUMBERS = st.integers(-(2**31), 2**31 - 1)


@given(arrays(np.int64, st.integers(0, 50), elements=NUMBERS))
def test_numbers_survive_their_bytes(values: np.ndarray):
    np.testing.assert_array_equal(unfold(unpack(pack(fold(values)))), values)


@pytest.mark.parametrize("data", [b"\x80", b"\x01\xff", b"\x80\x80\x80\x80\x80\x01"])
def test_bytes_that_are_no_numbers_are_refused(data: bytes):
    with pytest.raises(ValueError):
        unpack(data)


def refusal(path: Path) -> str:
    """Why a file is refused, once its steps are read too; always one line that begins with its name."""
    with pytest.raises(UserError) as caught:
        read_replay(path).check()
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and "\n" not in line and len(line) < 300 + len(str(path))
    return line.removeprefix(f"{path}: ")


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a replay file, and its chunks."""
    _, _, length = START.unpack_from(data)
    return json.loads(zlib.decompress(data[START.size : START.size + length])), data[START.size + length :]


def joined(header: bytes, chunks: bytes, version: int = 1) -> bytes:
    packed = zlib.compress(header)
    return START.pack(b"COGREPLY", version, len(packed)) + packed + chunks


def with_header(data: bytes, **changes: Any) -> bytes:
    header, chunks = split(data)
    return joined(json.dumps(header | changes).encode(), chunks)


def with_first_chunk(data: bytes, body: bytes, steps: int = 100) -> bytes:
    header, _ = split(data)
    packed = zlib.compress(body)
    return joined(json.dumps(header).encode(), CHUNK.pack(0, steps, len(packed)) + packed)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path):
    assert refusal(tmp_path / "none.replay") == "no such file"
    assert refusal(tmp_path) == "no such file"


def test_a_file_that_never_ends_is_not_read():
    assert refusal(Path("/dev/zero")) == "no such file"


def test_something_else_is_no_replay(tmp_path: Path):
    path = tmp_path / "x"
    for data in (b"", b"COGREPL", b"{}", b"PK\3\4" + bytes(100)):
        path.write_bytes(data)
        assert refusal(path) == "no replay"


def test_a_later_version_is_named(replay_file: Path):
    data = replay_file.read_bytes()
    replay_file.write_bytes(data[:8] + struct.pack("<I", 2) + data[12:])
    assert refusal(replay_file) == "a replay of version 2; this program reads version 1"


def test_a_file_that_was_cut_anywhere_is_refused(replay_file: Path):
    data = replay_file.read_bytes()
    for length in [*range(17, 60), *range(60, len(data) - 1, 251), len(data) - 1]:
        replay_file.write_bytes(data[:length])
        refusal(replay_file)


def test_damage_anywhere_raises_nothing_but_a_user_error(replay_file: Path):
    data, chance = replay_file.read_bytes(), random.Random(3)
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(chance.choice([1, 3, 20])):
            damaged[chance.randrange(len(data))] = chance.randrange(256)
        try:
            parse_replay(bytes(damaged), "damaged").check()
        except UserError:
            refused += 1
    assert refused > 250


def test_damaged_numbers_under_a_sound_checksum_raise_nothing_but_a_user_error(replay_file: Path):
    data, chance = replay_file.read_bytes(), random.Random(5)
    size = parse_replay(data, "x").header.size
    for _ in range(200):
        body = pack(np.zeros(size, np.int64)) + chance.randbytes(chance.choice([0, 3, 50]))
        replay_file.write_bytes(with_first_chunk(data, body))
        refusal(replay_file)


def test_a_bomb_of_zeros_in_header_or_chunk_is_not_unpacked(replay_file: Path):
    data = replay_file.read_bytes()
    header = joined(bytes(300_000_000), b"")
    chunk = with_first_chunk(data, bytes(300_000_000))
    for bomb in (header, chunk):
        assert len(bomb) < 500_000
        replay_file.write_bytes(bomb)
        tracemalloc.start()
        assert refusal(replay_file) == "damaged replay: a part is cut off or too large"
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
        tracemalloc.stop()


def test_a_header_that_claims_gigabytes_is_refused(replay_file: Path):
    data = replay_file.read_bytes()
    replay_file.write_bytes(data[:12] + struct.pack("<I", 2**32 - 1) + data[16:])
    assert refusal(replay_file).startswith("damaged replay: ")


def test_a_file_of_ten_gigabytes_is_refused_unread(replay_file: Path):
    os.truncate(replay_file, 10 * 2**30)  # sparse: takes no room on the disk
    assert refusal(replay_file) == "larger than 268,435,456 bytes"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"agents": []}, "agents=[]: List should have at least 1 item after validation, not 0"),
        ({"max_steps": 50}, "more than the 50 steps of the episode"),
        ({"max_steps": "many"}, "max_steps='many': should be a valid integer"),
        ({"map": ["..", "."]}, "the map is too large or no rectangle"),
        ({"objects": [{"type": 99, "row": 0, "col": 0}]}, "an object's type is not listed or its place lies outside"),
        ({"agents": [{"team": 9, "group": 0, "policy": 0}]}, "an agent's team or policy is not listed"),
        ({"mission": "x" * 100_000}, "mission='xxx"),
        (
            {"limits": [{"items": [], "least": 0, "most": 0, "bonus": {"\x1b[\n": "x"}, "add": True}]},
            "limits.0.bonus",
        ),
        ({"collectives": ["a"] * 100}, "collectives="),
    ],
)
def test_a_header_that_does_not_fit_is_refused(changes: dict[str, Any], why: str, replay_file: Path):
    replay_file.write_bytes(with_header(replay_file.read_bytes(), **changes))
    line = refusal(replay_file)
    assert line.startswith("damaged replay: ") and why in line and line.isprintable()


def test_keys_that_a_later_writer_adds_are_passed_over(replay_file: Path):
    replay_file.write_bytes(with_header(replay_file.read_bytes(), weather_report="fine"))
    assert read_replay(replay_file).steps == 230


def test_the_page_on_replays_explains_every_key_of_the_header():
    page = (Path(__file__).parents[3] / "docs" / "replays.md").read_text()
    assert [key for key in ReplayHeader.model_fields if f"`{key}`" not in page] == []


SHAPES = st.tuples(st.integers(2, 6), st.integers(1, 8))


@given(arrays(np.int64, SHAPES, elements=st.sampled_from([0, 1, -300, 70_000])))
def test_states_follow_from_the_one_before(states: np.ndarray):
    for before, after, delta in zip(states, states[1:], encode_deltas(states), strict=False):
        numbers = unpack(delta)
        count, gaps, differences = numbers[0], numbers[1::2], unfold(numbers[2::2])
        assert len(gaps) == len(differences) == count
        read = before.copy()
        read[np.cumsum(gaps + 1) - 1] += differences
        np.testing.assert_array_equal(read, after)
