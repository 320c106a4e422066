"""Mission files: YAML and pictures that strangers may have written (docs/missions.md)."""

from pathlib import Path
from typing import Any

from metta.common.errors import UserError, suggest
from metta.common.files import read_text
from metta.game.maps.ascii import MOST_BYTES as MOST_PICTURE_BYTES
from metta.game.maps.ascii import parse

SUFFIXES = (".yaml", ".yml", ".json")


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
    path = Path(name).expanduser() if folder is None else folder / name
    if folder is not None and not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{where}: '{name}' leads out of the folder of the file that names it")
    if not path.is_file():
        near = [beside.name for beside in path.parent.glob(f"*{path.suffix}")] if path.parent.is_dir() else []
        raise UserError(f"{where}: there is no file '{path}'{suggest(path.name, near)}")
    return path


def read_picture(path: Path, legend: dict[str, Any]) -> str:
    """The text of a drawn map whose own characters are the keys of `legend`.

    Raises:
        UserError: a file that is too large or no map, with line and column.
    """
    text = read_text(path, MOST_PICTURE_BYTES)
    parse(text, str(path), dict.fromkeys(legend, 0))
    return text.strip("\n") + "\n"
