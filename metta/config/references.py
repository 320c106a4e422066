"""References between settings (`${wandb.group}`): what they may be, so that resolving them runs and grows nothing."""

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

from metta.common.errors import UserError, suggest
from metta.config.schema import ALIASES

MOST = 100  # values that refer to others
LONGEST = 100_000  # characters that one of them stands for
ENVIRONMENT = re.compile(r"\$\{oc\.env:(\w+)(,[^${}]+)?\}")
REFERENCE = re.compile(r"\$\{(\.*)([\w.\[\]-]*)\}")  # dots: up from where it stands

Path = tuple[str, ...]


def check_references(written: Any, is_typed: Callable[[str], bool]) -> None:
    """Raise UserError about the first reference in a tree, as it was written, that has something worked out, that comes
    back to itself, or that stands for more than a tree holds. Ten values of which each names the next ten times are
    10^10, so all is counted before anything is resolved. Who typed the value of a path may have it read the environment
    by `${oc.env:NAME}`.
    """
    values = dict(_leaves(written, ()))
    found = {path: text for path, text in values.items() if isinstance(text, str) and "${" in text}
    if len(found) > MOST:
        raise UserError(f"more than {MOST} values refer to others", [".".join(next(iter(found)))])
    lengths: dict[Path, int | None] = {}  # None: being counted

    def length(path: Path) -> int:
        """Characters of a value once all is resolved."""
        if path not in found:
            return len(str(values[path]))
        if (known := lengths.get(path, 0)) is None:
            raise _refused(path, found[path], "refers to itself")
        if known:
            return known
        lengths[path], text = None, found[path]
        if is_typed(".".join(path)):
            for name, default in ENVIRONMENT.findall(text):
                if name not in os.environ and not default:
                    raise _refused(path, text, f"the environment has no {name}")
            text = ENVIRONMENT.sub(lambda match: "x" * len(os.environ.get(match[1], "")), text)
        if "${" in REFERENCE.sub("", text):
            kind = "references are ${key}, and in a word ${oc.env:NAME}, which reads the environment"
            raise _refused(path, text, kind)
        for target in _targets(path, text):
            if not held(target):
                raise _refused(path, text, f"there is no {'.'.join(target)}{_hint(target, values)}")
        total = len(text) + sum(length(named) for target in _targets(path, text) for named in held(target))
        if total > LONGEST:
            raise _refused(path, text, f"stands for more than {LONGEST:,} characters")
        lengths[path] = total
        return total

    def held(target: Path) -> list[Path]:
        """The values at or below a target, and those above it that may hold it."""
        return [path for path in values if path[: len(target)] == target or target[: len(path)] == path]

    for path in found:
        length(path)


def _hint(target: Path, values: dict[Path, Any]) -> str:
    """What a target is short for; else keys of its last name, else those nearest to it."""
    if meant := ALIASES.get(".".join(target)):
        return f" (did you mean {meant}?)"
    named = [".".join(path) for path in values if path[-1] == target[-1]][:3]
    return f" (did you mean {', '.join(named)}?)" if named else suggest(".".join(target), map(".".join, values))


def _refused(path: Path, text: str, why: str) -> UserError:
    key = ".".join(path)
    return UserError(f"cannot resolve a value: {key}={text[:100]!r}: {why}", [key])


def _targets(path: Path, text: str) -> Iterator[Path]:
    """What the references in a text at a path name."""
    for dots, name in REFERENCE.findall(text):
        yield (*(path[: -len(dots)] if dots else ()), *re.split(r"[.\[\]]+", name.rstrip("]")))


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict | list) and value:
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(entry, (*path, str(key)))
    else:
        yield path, value
