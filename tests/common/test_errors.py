"""Names that are near to a word."""

from hypothesis import given
from hypothesis import strategies as st

from metta.common.errors import suggest

NAMES = st.text("abc", min_size=1, max_size=4)


@given(NAMES, st.lists(NAMES))
def test_a_word_is_never_suggested_for_itself(word: str, names: list[str]) -> None:
    listed = suggest(word, [word, *names]).removeprefix(" (did you mean ").removesuffix("?)").split(", ")
    assert word not in listed
    assert suggest(word, [word]) == ""
