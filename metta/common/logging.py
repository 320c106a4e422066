"""Lines for the person at the keyboard: notes on standard output, warnings on standard error."""

import sys
from functools import lru_cache

from metta.common.errors import printable


def note(text: str) -> None:
    """Print one line."""
    print(text, flush=True)


@lru_cache(maxsize=1000)
def warn_once(text: str) -> None:
    """`warn`, of what several parts of a job find: the same line comes only once."""
    warn(text)


def warn(text: str) -> None:
    """Print one line that starts with 'warning:' on standard error; it may quote strangers."""
    print(f"warning: {printable(text)}", file=sys.stderr, flush=True)
