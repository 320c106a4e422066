"""Maps as text: one character a cell, team 0 for what has an owner."""

from pathlib import Path

import numpy as np

from metta.common.errors import UserError
from metta.game.maps import cells

CHARACTERS = {
    ".": cells.EMPTY, "#": cells.WALL, "@": cells.AGENT, "J": cells.JUNCTION, "j": cells.TEAM_JUNCTION,
    "H": cells.HUB, "a": cells.ALIGNER, "x": cells.SCRAMBLER, "m": cells.MINER, "s": cells.SCOUT,
    "O": cells.OXYGEN, "C": cells.CARBON, "G": cells.GERMANIUM, "S": cells.SILICON, "c": cells.CHEST,
}  # fmt: skip
BY_KIND = {kind: character for character, kind in CHARACTERS.items()}


def parse(text: str, source: str = "map") -> np.ndarray:
    """Cell codes, uint8 [H, W], of a map drawn in text; blank lines around it are dropped.

    Raises:
        UserError: no rows, rows of different lengths or an unknown character; `source` is named in the message.
    """
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise UserError(f"{source}: the map is empty")
    last = max(i for i, line in enumerate(lines) if line.strip())
    rows = [line.rstrip() for line in lines[first : last + 1]]
    grid = np.zeros((len(rows), len(rows[0])), np.uint8)
    for r, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise UserError(f"{source}, line {first + r + 1}: {len(row)} cells, the first row has {len(rows[0])}")
        for c, character in enumerate(row):
            if character not in CHARACTERS:
                known = " ".join(CHARACTERS)
                raise UserError(
                    f"{source}, line {first + r + 1}, column {c + 1}: unknown cell '{character}' (known: {known})"
                )
            grid[r, c] = CHARACTERS[character]
    return grid


def render(grid: np.ndarray) -> str:
    """A map as text, one line a row; which team owns a cell is not shown.

    Raises:
        UserError: a code that stands for nothing.
    """
    kinds = np.asarray(grid) & cells.KIND_MASK
    unknown = [int(kind) for kind in np.unique(kinds) if int(kind) not in BY_KIND]
    if unknown:
        raise UserError(f"map: unknown cell codes {unknown}")
    return "\n".join("".join(BY_KIND[int(kind)] for kind in row) for row in kinds) + "\n"


def read_map(path: Path) -> np.ndarray:
    """Cell codes, uint8 [H, W], of a text file. Raises UserError for a file that is missing or no map."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot read the map ({error})") from None
    return parse(text, str(path))
