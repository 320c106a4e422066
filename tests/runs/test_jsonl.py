"""Files of rows, however long and however damaged."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metta.common import jsonl

ROWS = st.lists(st.dictionaries(st.text("ab", max_size=3), st.integers(0, 999), max_size=3), max_size=8)
LINES = st.lists(st.sampled_from([b"", b"{", b"[1]", b"null", b'{"a": NaN', b"\xff\xfe", b'"text"']), max_size=3)


@settings(max_examples=200)
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


FIVE = [{"epoch": 1, "x": {"y": 2}}, {"epoch": 2}, {"epoch": 3, "z": "torn"}, {"epoch": 4}, {"epoch": 5}]


def torn_at(line: int, keep: int, *, with_break: bool) -> str:
    """FIVE of which one ends after `keep` characters."""
    lines = [json.dumps(row) + "\n" for row in FIVE]
    lines[line] = lines[line][:keep] + "\n" * with_break
    return "".join(lines)


@pytest.mark.parametrize("with_break", [True, False])
@pytest.mark.parametrize(("line", "keep"), [(0, 12), (0, 24), (2, 10), (2, 22), (3, 11), (4, 11)])
def test_a_torn_line_is_said_and_costs_no_other_row(
    tmp_path: Path, line: int, keep: int, with_break: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(torn_at(line, keep, with_break=with_break))
    whole = FIVE[:line] + FIVE[line + 1 :]
    assert list(jsonl.read_rows(path)) == whole
    assert jsonl.last_rows(path, 9) == whole
    assert jsonl.sample_rows(path, 9) == (whole, True)
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and f"{path}: not every line can be read" in err


def test_a_sound_file_is_read_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"i": 1}\n\n{"i": 2}\n')
    assert list(jsonl.read_rows(path)) == jsonl.last_rows(path, 5) == [{"i": 1}, {"i": 2}]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("before", "after"), [("", 0), ('{"i": 0}\n', 1), ('{"i": 0}', 1), ('{"i": 0, "to', 0)])
def test_what_is_added_stands_on_a_line_of_its_own(tmp_path: Path, before: str, after: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(before)
    jsonl.append_row(path, {"i": 1})
    jsonl.append_row(path, {"i": 2})
    assert [row["i"] for row in jsonl.read_rows(path)] == [0, 1, 2][1 - after :]
    assert path.read_text() == (before + "\n" if before and before[-1] != "\n" else before) + '{"i": 1}\n{"i": 2}\n'


def test_a_row_that_the_disk_took_in_part_costs_only_itself(tmp_path: Path) -> None:
    """A limit on the file's size stands for a full disk."""
    script = f"""
import resource, signal
from metta.common.jsonl import RowFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = RowFile({str(tmp_path / "a.jsonl")!r})
file.write({{"i": 1}})
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
try:
    file.write({{"i": 2, "x": "y" * 100_000}})
except OSError:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    file.write({{"i": 3}})
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert list(jsonl.read_rows(tmp_path / "a.jsonl")) == [{"i": 1}, {"i": 3}]


def test_a_file_that_this_process_has_open_is_written_again_only_where_it_is_no_longer_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with jsonl.RowFile(path) as file:
        file.write({"n": 1})
        assert not file.write_again()
        path.unlink()
        assert file.write_again() and list(jsonl.read_rows(path)) == [{"n": 1}]
        path.unlink()
        path.write_text('{"of": "another"}\n')
        assert file.write_again()
        file.write({"n": 2})
    assert list(jsonl.read_rows(path)) == [{"n": 1}, {"n": 2}]
    assert list(jsonl.read_rows(tmp_path / "rows.jsonl.replaced")) == [{"of": "another"}]


def test_rows_are_not_lost_where_the_file_cannot_be_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "run" / "rows.jsonl"
    path.parent.mkdir()
    with jsonl.RowFile(path) as file:
        file.write({"n": 1})
        path.parent.rename(tmp_path / "moved")
        with pytest.raises(FileNotFoundError):
            file.write_again()
        path.parent.mkdir()
        assert file.write_again()
    assert list(jsonl.read_rows(path)) == [{"n": 1}]
