"""Errors meant for the person at the keyboard: one line, no traceback."""

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType


def printable(text: str) -> str:
    """Text on one line: line breaks and control characters become spaces."""
    return "".join(character if character.isprintable() else " " for character in text)


class UserError(Exception):
    """Bad input. The message says what is wrong, where it came from and the nearest valid names; tools exit with 2.

    What it quotes may come from strangers: line breaks and control characters are shown as spaces. `about` are the
    settings that are wrong, as paths in the tree of settings, so that whoever composed it can tell who set them.
    One that all processes of a run raise is `shared`: rank 0 says it for all.
    """

    shared = False
    exit_code = 2

    def __init__(self, message: str, about: Iterable[str] = ()) -> None:
        super().__init__(printable(message))
        self.about = tuple(about)

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it."""
        return [f"error: {self}"]


class LostError(Exception):
    """Other processes of the run are gone, or did not answer in time. Whatever started them knows more."""


class MissingExtraError(UserError, ImportError):
    """A library that only an extra of the package installs is not there."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed: pip install 'metta[{extra}]'")


@contextmanager
def concerning(*about: str) -> Iterator[None]:
    """A UserError from within is about these settings, unless it says itself what it is about."""
    try:
        yield
    except UserError as error:
        error.about = error.about or about
        raise


def answer_in_a_line() -> None:
    """In a script, too, a UserError that nobody catches is one line."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, UserError):
            print(f"error: {error}", file=sys.stderr)
        else:
            earlier(kind, error, trace)

    earlier, sys.excepthook = sys.excepthook, hook


def suggest(word: str, choices: Iterable[str], limit: int = 3) -> str:
    """Return ' (did you mean a, b?)' with the other names nearest to `word`, or '' when none is near."""
    names = sorted(set(choices) - {word})
    near = difflib.get_close_matches(word, names, n=limit, cutoff=0.6)
    near = near or [name for name in names if word and (word in name or name in word)][:limit]
    return f" (did you mean {', '.join(near)}?)" if near else ""
