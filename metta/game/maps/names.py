"""The original's names of map cells."""

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


def from_names(grid: np.ndarray, short_names: list[str]) -> np.ndarray:
    """Cell codes, uint8 [H, W], of a grid of names; `short_names` are the teams' prefixes in order.

    Raises:
        UserError: a name that is not known.
    """
    known = dict(PLAIN)
    for team, short in enumerate(short_names):
        shift = team << cells.TEAM_SHIFT
        known |= {f"{short}:{name}": kind | shift for name, kind in OWNED.items()}
        known[f"agent.team_{team}"] = cells.AGENT | shift
    names, indices = np.unique(grid, return_inverse=True)
    for name in names:
        if str(name) not in known:
            raise UserError(f"unknown map cell '{name}'{suggest(str(name), known)}")
    codes = np.array([known[str(name)] for name in names], np.uint8)
    return codes[indices].reshape(grid.shape)
