"""References between settings (`${wandb.group}`): what they may be, so that resolving them runs and grows nothing."""

import re
from collections.abc import Iterator
from typing import Any

from metta.common.errors import UserError
from metta.common.settings import below

MOST = 100
REFERENCE = re.compile(r"\$\{(\.*)([\w.\[\]-]*)\}")  # dots: up from where it stands

Path = tuple[str, ...]


def check_references(written: Any) -> None:
    """Raise UserError about the first reference in a tree, as it was written, that is none to a plain value: one that
    has something worked out, or that refers to another. Ten values of which each names the next ten times are 10^10.
    """
    found = dict(_referring(written, ()))
    if len(found) > MOST:
        raise UserError(f"more than {MOST} values refer to others", [".".join(next(iter(found)))])
    for path, text in found.items():
        shown = f"cannot resolve a value: {below('', '.'.join(path))}={text[:100]!r}"
        if "${" in REFERENCE.sub("", text) or text.count("${") > MOST:
            kind = "references are ${key}, which read neither the environment nor call anything"
            raise UserError(f"{shown}: {kind}", [".".join(path)])
        for dots, name in REFERENCE.findall(text):
            target = (*(path[: -len(dots)] if dots else ()), *re.split(r"[.\[\]]+", name.rstrip("]")))
            if any(other[: len(target)] == target or target[: len(other)] == other for other in found):
                raise UserError(f"{shown}: refers to what refers to something itself", [".".join(path)])


def _referring(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Where a text refers to something, and the text."""
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in entries:
            yield from _referring(entry, (*path, str(key)))
    elif isinstance(value, str) and "${" in value:
        yield path, value
