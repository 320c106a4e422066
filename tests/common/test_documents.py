"""YAML files may come from strangers: what would take much time or memory to read is one line instead."""

from pathlib import Path

import pytest

from metta.common.documents import MOST_DEPTH, MOST_VALUES, MOST_WORD, check_yaml, parse_yaml, read_yaml
from metta.common.errors import UserError


def doubled(times: int, entry: str) -> str:
    """Lines of which each holds the one before twice."""
    lines = [f"a{step}: &n{step} {entry.replace('*', f'*n{step - 1}')}" for step in range(1, times)]
    return "\n".join(["a0: &n0 [x]", *lines])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (doubled(16, "[*, *]"), f"more than {MOST_VALUES:,} keys and values"),
        (doubled(16, "{b: *, c: *}"), f"more than {MOST_VALUES:,} keys and values"),
        (doubled(MOST_DEPTH, "[*]"), f"more than {MOST_DEPTH} brackets"),
        ("a: &n [*n]", "*n refers to nothing that stands before it"),
        ("a: *n", "n"),
        ("[" * 100_000, f"more than {MOST_DEPTH} brackets"),
        (f"a: [{'1,' * MOST_VALUES}1]", f"more than {MOST_VALUES:,} keys and values"),
        (f"a: 1{':1' * MOST_WORD}", f"an unquoted word of more than {MOST_WORD:,} characters"),
        (f"a: !!int '1{':1' * MOST_WORD}'", f"an unquoted word of more than {MOST_WORD:,} characters"),
        ("a: !!python/name:os.system", "no YAML (could not determine a constructor"),
        ("a: [1", "no YAML"),
    ],
)  # fmt: skip
def test_what_would_take_long_is_refused(text: str, problem: str):
    with pytest.raises(UserError) as error:
        parse_yaml(text, "mine.yaml")
    assert str(error.value).startswith("mine.yaml") and problem in str(error.value)


def test_references_that_repeat_little_are_read():
    text = "a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]\n"
    assert parse_yaml(text, "") == {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": [{"x": 1}, {"x": 1}]}


def test_a_file_has_none_where_they_are_not_wanted(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("a: &a 1\nb: *a")
    with pytest.raises(UserError, match="references"):
        read_yaml(tmp_path / "mine.yaml")


def test_long_text_is_no_word():
    assert parse_yaml("a: " + "words " * MOST_WORD, "")
    assert check_yaml(f"a: '{'x' * 2 * MOST_WORD}'", "") is None
