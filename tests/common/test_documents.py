"""YAML files may come from strangers: what would take much time or memory to read is one line instead."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis.strategies import booleans, floats, integers, sampled_from, text

from metta.common.documents import MOST_DEPTH, MOST_VALUES, MOST_WORD, as_text, check_yaml, parse_yaml, read_yaml
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


@pytest.mark.parametrize(
    ("written", "read"),
    [
        *[
            ("1e3", 1000.0),
            ("1_000", 1000),
            ("-7", -7),
            (".5", 0.5),
            ("1.5e-3", 0.0015),
            ("true", True),
            ("null", None),
        ],
        *[(text, text) for text in ("010", "0x10", "0b1", "1:30", "yes", "No", "on", "off", "y", "2020-01-01", "inf")],
    ],
)
def test_a_word_in_a_file_means_what_it_means_on_a_command_line(written: str, read: object) -> None:
    assert parse_yaml(written, "x") == read
    assert type(parse_yaml(written, "x")) is type(read)


@given(
    text()
    | floats(allow_nan=False)
    | integers()
    | booleans()
    | sampled_from(["1e3", "yes", "010", "1:30", "~", "\xa0", "\x85", "a\u2028b"])
)
def test_what_is_written_is_read_as_it_was_by_us_and_by_readers_of_yaml_1_1(value: object) -> None:
    document = {"key": value}
    written = as_text("yaml", document)
    assert parse_yaml(written, "x") == document
    assert yaml.safe_load(written) == document


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 1", "a: {b: 1, 'b': 2}", "[{a: 1, a: 1}]", '{"a": 1, "a": 2}'])
def test_a_key_that_comes_twice_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"the key . comes twice"):
        parse_yaml(text, "x")


def test_keys_that_are_merged_in_may_be_said_again() -> None:
    assert parse_yaml("a: &n {x: 1, y: 2}\nb: {<<: *n, x: 3}\nc: {<<: *n}", "x")["b"] == {"x": 3, "y": 2}
