"""Lines for the person at the keyboard: notes on standard output, warnings on standard error."""

import sys


def note(text: str) -> None:
    """Print one line."""
    print(text, flush=True)


def warn(text: str) -> None:
    """Print one line that starts with 'warning:' on standard error."""
    print(f"warning: {text}", file=sys.stderr, flush=True)
