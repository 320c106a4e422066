"""Documents for programs: written as text, and YAML files read that strangers may have written."""

import json
from pathlib import Path
from typing import Any, Literal

from metta.common.errors import UserError
from metta.common.files import read_text

MOST_BYTES = 1_000_000
MOST_DEPTH = 50  # brackets and indents within one another: reading takes time that grows with their square


def as_text(form: Literal["json", "yaml"], document: dict[str, Any]) -> str:
    """A document of plain values as JSON or YAML, without the line end."""
    if form == "json":
        return json.dumps(document, indent=2)
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120).rstrip()


def read_yaml(path: Path, most: int = MOST_BYTES) -> dict[str, Any]:
    """The mapping that a YAML or JSON file of at most `most` bytes holds.

    Raises:
        UserError: a file that cannot be read or is too large, no YAML, no mapping of words, or that refers to parts of
            itself.
    """
    import yaml

    text = read_text(path, most)
    try:
        _check_tokens(text, path)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UserError(f"{path}{place}: no YAML ({error.problem})") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path}: no YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UserError(f"{path}: no mapping of keys to values")
    return content


def _check_tokens(text: str, path: Path) -> None:
    """Refuse YAML that would grow when it is read: references, and brackets without end."""
    import yaml

    opening = (
        yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken, yaml.BlockSequenceStartToken,
        yaml.BlockMappingStartToken,
    )  # fmt: skip
    closing = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)
    depth = 0
    for token in yaml.scan(text):
        depth += isinstance(token, opening) - isinstance(token, closing)
        if isinstance(token, yaml.AliasToken):
            raise UserError(f"{path}: references (*name) are not read")
        if depth > MOST_DEPTH:
            raise UserError(f"{path}: more than {MOST_DEPTH} brackets or indents within one another")
