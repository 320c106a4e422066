"""Mission files: YAML and pictures that strangers may have written (docs/missions.md)."""

from pathlib import Path
from typing import Any

import yaml

from metta.common.errors import UserError, suggest
from metta.common.files import read_text
from metta.game.maps.ascii import MOST_BYTES as MOST_PICTURE_BYTES
from metta.game.maps.ascii import parse

SUFFIXES = (".yaml", ".yml", ".json")
MOST_BYTES = 1_000_000
MOST_DEPTH = 50  # brackets and indents within one another: reading takes time that grows with their square
OPENING = (
    yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken, yaml.BlockSequenceStartToken, yaml.BlockMappingStartToken,
)  # fmt: skip
CLOSING = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)


def is_mission_file(name: object) -> bool:
    """Whether a mission's name is that of a file."""
    return isinstance(name, str) and name.lower().endswith(SUFFIXES)


def is_picture_file(picture: object) -> bool:
    """Whether the picture of a map is the name of a file: a drawn map has line breaks."""
    return isinstance(picture, str) and picture != "" and "\n" not in picture


def find_file(name: str, folder: Path | None, where: str) -> Path:
    """The file that `name` leads to: from here, or where a file names it, from that file's folder and not out of it.

    Raises:
        UserError: no such file, with the nearest ones beside it, or a way out of the folder.
    """
    path = Path(name) if folder is None else folder / name
    if folder is not None and not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{where}: '{name}' leads out of the folder of the file that names it")
    if not path.is_file():
        near = [beside.name for beside in path.parent.glob(f"*{path.suffix}")] if path.parent.is_dir() else []
        raise UserError(f"{where}: there is no file '{path}'{suggest(path.name, near)}")
    return path


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML or JSON file holds.

    Raises:
        UserError: a file that is too large, no YAML, no mapping of words, or that refers to parts of itself.
    """
    text = read_text(path, MOST_BYTES)
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
    depth = 0
    for token in yaml.scan(text):
        depth += isinstance(token, OPENING) - isinstance(token, CLOSING)
        if isinstance(token, yaml.AliasToken):
            raise UserError(f"{path}: references (*name) are not read")
        if depth > MOST_DEPTH:
            raise UserError(f"{path}: more than {MOST_DEPTH} brackets or indents within one another")


def read_picture(path: Path, legend: dict[str, Any]) -> str:
    """The text of a drawn map whose own characters are the keys of `legend`.

    Raises:
        UserError: a file that is too large or no map, with line and column.
    """
    text = read_text(path, MOST_PICTURE_BYTES)
    parse(text, str(path), dict.fromkeys(legend, 0))
    return text.strip("\n") + "\n"
