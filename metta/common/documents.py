"""Documents for programs: written as text, and YAML files read that strangers may have written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from metta.common.errors import UserError
from metta.common.files import read_text

MOST_BYTES = 1_000_000
MOST_DEPTH = 50  # brackets and indents within one another: reading takes time that grows with their square
MOST_VALUES = 20_000  # keys and values, those that references repeat counted again
MOST_WORD = 3_000  # characters of an unquoted one, which may be a number: 1:1:1:… takes time with their square


def as_text(form: Literal["json", "yaml"], document: dict[str, Any]) -> str:
    """A document of plain values as JSON or YAML, without the line end."""
    if form == "json":
        return json.dumps(document, indent=2)
    from metta.common.plain_yaml import dump

    return dump(document, width=120).removesuffix("\n")


def read_yaml(path: Path, most: int = MOST_BYTES) -> dict[str, Any]:
    """The mapping that a YAML or JSON file of at most `most` bytes holds.

    Raises:
        UserError: a file that cannot be read or is too large, no YAML, no mapping of words, or as `check_yaml`.
    """
    content = parse_yaml(read_text(path, most), str(path), references=False)
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UserError(f"{path}: no mapping of keys to values")
    return content


def parse_yaml(text: str, where: str, references: bool = True) -> Any:
    """What a YAML text means. Raises UserError, which begins with `where`, as `check_yaml`."""
    from metta.common.plain_yaml import load

    check_yaml(text, where, references)
    return _read(lambda: load(text), where)


def check_yaml(text: str, where: str, references: bool = True) -> None:
    """Raise UserError, which begins with `where`, for no YAML, and for what takes much time or memory to read: nested
    deep, or grown by references to parts of itself, of which without `references` there must be none."""
    _read(lambda: _check_events(text, where, references), where)


def _read(read: Callable[[], Any], where: str) -> Any:
    import yaml

    try:
        return read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UserError(f"{where}{place}: no YAML ({error.problem})") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{where}: no YAML ({' '.join(str(error).split())})") from None


def _check_events(text: str, where: str, references: bool) -> None:
    import yaml

    named: dict[str, tuple[int, int]] = {}  # values and depth of what has a name
    parts: list[tuple[str | None, int, int]] = [(None, 0, 0)]  # name, values and depth of what is open
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            parts.append((event.anchor, 1, 1))
            name, values, depth = None, 0, 0
        elif isinstance(event, yaml.CollectionEndEvent):
            name, values, depth = parts.pop()
        elif isinstance(event, yaml.ScalarEvent):
            name, values, depth = event.anchor, 1, 0
            if (event.implicit[0] or event.tag) and len(event.value) > MOST_WORD and " " not in event.value:
                raise UserError(f"{where}: an unquoted word of more than {MOST_WORD:,} characters")
        elif isinstance(event, yaml.AliasEvent):
            if not references:
                raise UserError(f"{where}: references (*name) are not read")
            if event.anchor not in named:
                raise UserError(f"{where}: *{event.anchor} refers to nothing that stands before it")
            name, (values, depth) = None, named[event.anchor]
        else:
            continue
        if name is not None:
            named[name] = values, depth
        above, count, deepest = parts[-1]
        parts[-1] = above, count + values, max(deepest, depth + 1)
        if parts[-1][1] > MOST_VALUES:
            raise UserError(f"{where}: more than {MOST_VALUES:,} keys and values")
        if len(parts) + depth > MOST_DEPTH:
            raise UserError(f"{where}: more than {MOST_DEPTH} brackets or indents within one another")
