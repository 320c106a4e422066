"""Lines for the person at the keyboard: notes on standard output, warnings on standard error."""

import sys

from metta.common.errors import printable


def note(text: str) -> None:
    """Print one line."""
    print(text, flush=True)


def warn(text: str) -> None:
    """Print one line that starts with 'warning:' on standard error; it may quote strangers."""
    print(f"warning: {printable(text)}", file=sys.stderr, flush=True)
