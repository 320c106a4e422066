"""Files of rows, however long and however damaged."""

import json
import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metta.common import jsonl

ROWS = st.lists(st.dictionaries(st.text("ab", max_size=3), st.integers(0, 999), max_size=3), max_size=8)
LINES = st.lists(st.sampled_from([b"", b"{", b"[1]", b"null", b'{"a": NaN', b"\xff\xfe", b'"text"']), max_size=3)


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, damaged=LINES, cut=st.integers(0, 12), block=st.sampled_from([1, 2, 7, 64]), count=st.integers(0, 9))
def test_from_both_ends_the_same_whole_rows_are_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict], damaged: list[bytes], cut: int, block: int, count: int
) -> None:
    lines = [json.dumps(row).encode() for row in rows] + damaged
    data = b"".join(line + b"\n" for line in lines)
    data = data[: len(data) - cut]
    whole = [json.loads(line) for line in data.split(b"\n") if line.endswith(b"}")]
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "BLOCK", block)
        assert list(jsonl.read_rows(path)) == whole
        assert jsonl.last_rows(path, count) == whole[len(whole) - count if count <= len(whole) else 0 :]
        assert jsonl.sample_rows(path, 100) == (whole, True)


@pytest.mark.parametrize("tail", ["", '{"i": 7', "\n\n", '{"i": 8}\n{"i":'])
def test_a_file_is_cut_after_the_newest_wanted_row(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "a.jsonl"
    kept = "".join(f'{{"i": {index}}}\n' for index in range(4))
    path.write_text(kept + '{"i": 4}\n{"i": 5}\n' + tail)
    jsonl.cut_after(path, lambda row: row["i"] <= 3)
    assert path.read_text() == kept
    jsonl.cut_after(path, lambda row: False)
    assert path.read_text() == ""


def test_a_row_whose_line_break_is_missing_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"i": 1}\n{"i": 2}')
    jsonl.cut_after(path, lambda row: True)
    assert path.read_text() == '{"i": 1}\n{"i": 2}\n'


def test_a_sample_is_spread_over_the_file_from_the_first_row_to_the_last(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"i": {index}, "x": "{"y" * (index % 50)}"}}\n' for index in range(20_000)))
    rows, whole = jsonl.sample_rows(path, 200)
    found = [row["i"] for row in rows]
    assert not whole and 190 <= len(found) <= 200
    assert found[0] == 0 and found[-1] == 19_999 and found == sorted(set(found))
    assert max(after - before for before, after in pairwise(found)) < 3 * 100


def test_a_line_longer_than_any_row_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "LONGEST", 1000)
    path = tmp_path / "a.jsonl"
    path.write_text('{"i": 1}\n' + '{"x": "' + "y" * 5000 + '"}\n{"i": 2}\n')
    assert list(jsonl.read_rows(path)) == [{"i": 1}, {"i": 2}]
    assert jsonl.last_rows(path, 1) == [{"i": 2}]


def test_a_row_nested_without_end_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a":' * 100_000 + "\n" + '{"i": 2}\n')
    assert list(jsonl.read_rows(path)) == [{"i": 2}]


def test_the_end_of_a_huge_file_is_read_without_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # a hole, which takes no room on disk
        file.seek(0, os.SEEK_END)
        file.write(b'\n{"i": 1}\n{"i": 2}\n')
    assert jsonl.last_rows(path, 2) == [{"i": 1}, {"i": 2}]
