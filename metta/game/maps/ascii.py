"""Maps as text: one character a cell, team 0 for what has an owner. The legend is in docs/missions.md."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from metta.common.errors import UserError
from metta.common.files import read_text
from metta.game.maps import cells

CHARACTERS = {
    ".": cells.EMPTY, "#": cells.WALL, "@": cells.AGENT, "J": cells.JUNCTION, "j": cells.TEAM_JUNCTION,
    "H": cells.HUB, "a": cells.ALIGNER, "x": cells.SCRAMBLER, "m": cells.MINER, "s": cells.SCOUT,
    "O": cells.OXYGEN, "C": cells.CARBON, "G": cells.GERMANIUM, "S": cells.SILICON,
}  # fmt: skip
BY_KIND = {kind: character for character, kind in CHARACTERS.items()}
MOST_SIDE = 500  # rows, and columns
MOST_BYTES = 4 * MOST_SIDE * (MOST_SIDE + 2)


def parse(text: str, source: str = "map", legend: Mapping[str, int] | None = None) -> np.ndarray:
    """Cell codes, uint8 [H, W], of a map drawn in text; blank lines around it are dropped.

    `legend` adds characters to the usual ones, or replaces them.

    Raises:
        UserError: no rows, too many, rows of different lengths or an unknown character, as source:line:column.
    """
    known = CHARACTERS | dict(legend or {})
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise UserError(f"{source}: the map is empty")
    last = max(i for i, line in enumerate(lines) if line.strip())
    rows = [line.rstrip() for line in lines[first : last + 1]]
    width = len(rows[0])
    if max(len(rows), width) > MOST_SIDE:
        raise UserError(f"{source}: the map has {len(rows)} rows of {width} cells, at most {MOST_SIDE} are read")
    grid = np.zeros((len(rows), width), np.uint8)
    for r, row in enumerate(rows):
        line = f"{source}:{first + r + 1}"
        for c, character in enumerate(row[:width]):
            if character not in known:
                raise UserError(f"{line}:{c + 1}: unknown cell '{character}' (known: {' '.join(known)})")
            grid[r, c] = known[character]
        if len(row) != width:
            raise UserError(f"{line}:{min(len(row), width) + 1}: {len(row)} cells, the first row has {width}")
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
    """Cell codes, uint8 [H, W], of a text file. Raises UserError for a file that is missing, too large or no map."""
    return parse(read_text(path, MOST_BYTES), str(path))
