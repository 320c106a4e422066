"""Names of map cells: those of the original, which a picture's own legend uses too."""

from collections.abc import Mapping, Sequence

import numpy as np

from metta.common.errors import UserError, suggest
from metta.game.maps import cells

PLAIN = {
    "empty": cells.EMPTY, "wall": cells.WALL, "junction": cells.JUNCTION, "c:junction": cells.TEAM_JUNCTION,
    "oxygen_extractor": cells.OXYGEN, "carbon_extractor": cells.CARBON, "germanium_extractor": cells.GERMANIUM,
    "silicon_extractor": cells.SILICON, "chest": cells.CHEST, "agent.agent": cells.AGENT,
}  # fmt: skip
OWNED = {
    "hub": cells.HUB, "aligner": cells.ALIGNER, "scrambler": cells.SCRAMBLER, "miner": cells.MINER,
    "scout": cells.SCOUT, "junction": cells.TEAM_JUNCTION,
}  # fmt: skip


def names_of_cells(teams: Mapping[str, str]) -> dict[str, int]:
    """Cell codes by name; `teams` are the teams' prefixes by name, in order. A team is known by both."""
    known = dict(PLAIN)
    for team, (name, short) in enumerate(teams.items()):
        shift = team << cells.TEAM_SHIFT
        known |= {f"{prefix}:{what}": kind | shift for what, kind in OWNED.items() for prefix in (name, short)}
        known |= {f"agent.{prefix}": cells.AGENT | shift for prefix in (f"team_{team}", name, short)}
    return known


def cell_codes(legend: Mapping[str, str], teams: Mapping[str, str]) -> dict[str, int]:
    """Codes of the characters of a picture's own legend.

    Raises:
        UserError: a key that is no single letter, or an unknown cell.
    """
    known, codes = names_of_cells(teams), {}
    for character, name in legend.items():
        if len(character) != 1 or not (character.isascii() and character.isalpha()):
            raise UserError(f"map.legend: '{character}' is no single letter")
        if name not in known:
            raise UserError(f"map.legend.{character}: unknown map cell '{name}'{suggest(name, known)}")
        codes[character] = known[name]
    return codes


def from_names(grid: np.ndarray, short_names: Sequence[str]) -> np.ndarray:
    """Cell codes, uint8 [H, W], of a grid of names; `short_names` are the teams' prefixes in order.

    Raises:
        UserError: a name that is not known.
    """
    known = names_of_cells({short: short for short in short_names})
    names, indices = np.unique(grid, return_inverse=True)
    for name in names:
        if str(name) not in known:
            raise UserError(f"unknown map cell '{name}'{suggest(str(name), known)}")
    codes = np.array([known[str(name)] for name in names], np.uint8)
    return codes[indices].reshape(grid.shape)
