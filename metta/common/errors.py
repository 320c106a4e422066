"""Errors meant for the person at the keyboard: one line, no traceback."""

import difflib
from collections.abc import Iterable


def printable(text: str) -> str:
    """Text on one line: line breaks and control characters become spaces."""
    return "".join(character if character.isprintable() else " " for character in text)


class UserError(Exception):
    """Bad input. The message says what is wrong, where it came from and the nearest valid names; tools exit with 2.

    What it quotes may come from strangers: line breaks and control characters are shown as spaces.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class MissingExtraError(UserError, ImportError):
    """A library that only an extra of the package installs is not there."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed: pip install 'metta[{extra}]'")


def suggest(word: str, choices: Iterable[str], limit: int = 3) -> str:
    """Return ' (did you mean a, b?)' with the names nearest to `word`, or '' when none is near."""
    names = sorted(set(choices))
    near = difflib.get_close_matches(word, names, n=limit, cutoff=0.6)
    near = near or [name for name in names if word and (word in name or name in word)][:limit]
    return f" (did you mean {', '.join(near)}?)" if near else ""
