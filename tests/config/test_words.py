"""The grammar of a word: Hydra's, and what people type beside it."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metta.common.errors import UserError
from metta.config.schema import leaves
from metta.config.tree import value_for
from metta.config.words import parse_word, varied
from metta.rl.settings import RunConfig

NOTES = next(key for key in leaves(RunConfig) if key.path == "wandb.notes")
URI_TAIL = st.text(string.ascii_letters + string.digits + "/:?=&._-%+@~#", max_size=40)
KEYS = st.text(string.ascii_lowercase, max_size=8).map(lambda name: f"key_{name}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=5_000_000_000", 5_000_000_000),
        ("a=1e-3", 0.001),
        ("a=true", True),
        ("a=null", None),
        ("a=", ""),
        ("a=[1,b,[2]]", [1, "b", [2]]),
        ("a={b: 1, c: {d: e}}", {"b": 1, "c": {"d": "e"}}),
        ("a='x, y'", "x, y"),
        ('a="x=y"', "x=y"),
        ("a=metta://policy/role?miner=4&scout=2", "metta://policy/role?miner=4&scout=2"),
        ("a=~/runs", "~/runs"),
        ("a=wandb://team/metta/model/x.2x8.07-24-00-18:latest", "wandb://team/metta/model/x.2x8.07-24-00-18:latest"),
        ("a=[metta://policy/role?miner=4, b=c]", ["metta://policy/role?miner=4", "b=c"]),
        ('a={b: metta://policy/cogsguard?gear=10, c: "d=e"}', {"b": "metta://policy/cogsguard?gear=10", "c": "d=e"}),
    ],
)
def test_a_value_reads_as_typed(text: str, value: object) -> None:
    assert parse_word(text).value == value


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_the_prefixes_of_hydra_name_the_same_key(prefix: str) -> None:
    word = parse_word(f"{prefix}a.b=metta://x?y=1")
    assert (word.key, word.value) == ("a.b", "metta://x?y=1")


@pytest.mark.parametrize("text", ["~a.b", "~a.b=1"])
def test_a_tilde_deletes(text: str) -> None:
    assert (parse_word(text).key, parse_word(text).delete) == ("a.b", True)


def test_a_package_is_where_a_group_lands() -> None:
    assert parse_word("sim@evals=all").key == "evals"


@pytest.mark.parametrize("text", ["a={b: 1", "a=[1", "a='x", "1=2", "=3", "a b=3", "~"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="cannot read the word"):
        parse_word(text)


@given(st.text(string.ascii_letters, min_size=1), URI_TAIL)
def test_any_bare_uri_reaches_a_text_key_unchanged(scheme: str, tail: str) -> None:
    typed = f"{scheme}://{tail}"
    assert value_for(NOTES, parse_word(f"wandb.notes={typed}")) == typed


@given(st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="'\"$"), min_size=1))
def test_any_bare_text_with_an_equals_sign_is_kept(tail: str) -> None:
    assert parse_word(f"a=k={tail}").value == f"k={tail}"


@given(st.sampled_from(["001", "1e5", "12", "true", "1_000", "0.10"]))
def test_text_that_looks_like_a_number_stays_text_where_a_name_is_wanted(typed: str) -> None:
    assert value_for(NOTES, parse_word(f"wandb.notes={typed}")) == typed


@given(st.integers(-(10**15), 10**15))
def test_integers_may_have_underscores(number: int) -> None:
    assert parse_word(f"a={number:_}").value == number


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(string.ascii_letters + " =&?:,{}[]", min_size=1),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=8,
    ).filter(lambda value: isinstance(value, list | dict))
)
def test_nested_lists_and_dicts_with_quoted_text_come_back(value: object) -> None:
    typed = json.dumps(value)
    for key in _names(value):
        typed = typed.replace(f'"{key}": ', f"{key}: ")
    assert parse_word(f"a={typed}").value == value


def test_a_comma_list_stands_for_several_words() -> None:
    assert [word.value for word in varied(parse_word("a=1,2,x"))] == [1, 2, "x"]
    assert [word.value for word in varied(parse_word("a=range(1,4)"))] == [1, 2, 3]
    assert [word.value for word in varied(parse_word("a=m://a?b=1,m://b?c=2"))] == ["m://a?b=1", "m://b?c=2"]
    assert [word.value for word in varied(parse_word("a='x,y'"))] == ["x,y"]
    assert [word.value for word in varied(parse_word("a=[1,2]"))] == [[1, 2]]


def _names(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for entry in value.values() for name in _names(entry)}
    return {name for entry in value for name in _names(entry)} if isinstance(value, list) else set()
