"""Who takes part in an evaluation: a policy, and its part of the agents."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from metta.common.errors import UserError, suggest

KEY = "proportion"


@dataclass(frozen=True)
class Entry:
    """A policy by its URI, and how many parts of the agents it plays."""

    uri: str
    proportion: float = 1.0


def parse_entry(text: str) -> Entry:
    """`POLICY[,proportion=X]`. Raises UserError for a proportion that is no positive number, or misspelt."""
    first, *parts = text.split(",")
    own, given = [first], "1"
    for part in parts:
        name, equals, value = part.partition("=")
        if name == KEY and equals:
            given = value
        elif equals and name not in ("data", KEY) and "kw." not in name and suggest(name, [KEY]):
            raise UserError(f"policy {text}: unknown option '{name}'{suggest(name, [KEY])}")
        else:
            own.append(part)
    try:
        proportion = float(given)
    except ValueError:
        proportion = -1.0
    if not 0 < proportion < math.inf:
        raise UserError(f"policy {text}: proportion={given} should be a number above 0")
    if not first:
        raise UserError(f"policy {text!r}: no policy is named")
    return Entry(",".join(own), proportion)


def parse_entries(texts: Sequence[str]) -> tuple[Entry, ...]:
    """All entries of an evaluation, in order."""
    return tuple(parse_entry(text) for text in texts)
