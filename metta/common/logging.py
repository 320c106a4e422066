"""Lines for the person at the keyboard: notes on standard output, warnings on standard error.

Of the processes of one run only rank 0 says them. With LOG_LEVEL=DEBUG more is said on standard error: the traceback
behind an error, where each word went, and where each policy was found.
"""

import os
import sys
from functools import lru_cache

from metta.common.errors import printable
from metta.common.ranks import find_place


def note(text: str) -> None:
    """Print one line."""
    if find_place().leads:
        print(text, flush=True)


@lru_cache(maxsize=1000)
def warn_once(text: str) -> None:
    """`warn`, of what several parts of a job find: the same line comes only once."""
    warn(text)


def warn(text: str) -> None:
    """Print one line that starts with 'warning:' on standard error; it may quote strangers."""
    if find_place().leads:
        print(f"warning: {printable(text)}", file=sys.stderr, flush=True)


def debugging() -> bool:
    """Whether the person at the keyboard wants to know more: LOG_LEVEL=DEBUG."""
    return os.environ.get("LOG_LEVEL", "").upper() == "DEBUG"


def debug(text: str) -> None:
    """Print one line that starts with 'debug:' on standard error, for those who want to know more."""
    if debugging() and find_place().leads:
        print(f"debug: {printable(text)}", file=sys.stderr, flush=True)
