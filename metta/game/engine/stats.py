"""Names of the episode statistics and where the kernels count them (rules 7.3)."""

import numpy as np

from metta.common.errors import UserError, suggest
from metta.game.engine import layout as L
from metta.game.resources import ELEMENTS

PLAIN_STATS = {
    "action.noop.success": L.ST_NOOP,
    "action.move.success": L.ST_MOVE,
    "action.move.failed": L.ST_MOVE_FAILED,
    "action.change_vibe.success": L.ST_VIBE,
    "action.failed": L.ST_FAILED,
    "action.invalid_index": L.ST_INVALID,
    "status.max_steps_without_motion": L.ST_STILL_MAX,
    "cell.visited": L.ST_VISITED,
    "death": L.ST_DEATH,
    "junction.aligned_by_agent": L.ST_ALIGNED,
    "junction.scrambled_by_agent": L.ST_SCRAMBLED,
    "c:junction.aligned_by_agent": L.ST_ALIGNED_SPECIAL,
    "c:junction.scrambled_by_agent": L.ST_SCRAMBLED_SPECIAL,
}


class AgentStats:
    """Columns of one agent's counters, and their names."""

    def __init__(self, resources: tuple[str, ...]) -> None:
        size = len(resources)
        self.resources = resources
        self.start = L.AG_INVENTORY + size + 1 + size  # behind inventory and list of items held
        self.columns = dict(PLAIN_STATS)
        for index, name in enumerate(resources):
            first = L.ST_RESOURCE + L.RESOURCE_STATS * index
            self.columns[f"{name}.gained"] = first + L.GAINED
            self.columns[f"{name}.lost"] = first + L.LOST
            if name in ELEMENTS:
                self.columns[f"{name}.deposited"] = first + L.DEPOSITED
        self.size = L.ST_RESOURCE + L.RESOURCE_STATS * size

    def agent_column(self, name: str) -> int:
        """Column of `agents` that holds a statistic. Raises UserError for one that agents do not have."""
        resource = name.removesuffix(".amount")
        if name.endswith(".amount") and resource in self.resources:
            return L.AG_INVENTORY + self.resources.index(resource)
        if name not in self.columns:
            raise UserError(f"unknown statistic '{name}' in a reward entry{suggest(name, self.columns)}")
        return self.start + self.columns[name]

    def named(self, counters: np.ndarray, inventory: np.ndarray) -> dict[str, np.ndarray]:
        """Statistics by name from int32 counters [..., size] and inventory [..., R]; float64 [...]."""
        values = counters.astype(np.float64)
        named = {name: values[..., column] for name, column in self.columns.items()}
        named |= {
            f"{name}.amount": inventory[..., index].astype(np.float64) for index, name in enumerate(self.resources)
        }
        for stat, source in (("gain_diversity", "gained"), ("deposit_diversity", "deposited")):
            counts = np.stack([named[f"{element}.{source}"] for element in ELEMENTS])
            named[stat] = np.log1p(counts).sum(0)
        return named


class TeamStats:
    """Columns of one collective's inventory and counters, and their names."""

    def __init__(self, types: list[str], resources: tuple[str, ...]) -> None:
        self.columns: dict[str, int] = {}
        size = len(resources)
        for index, name in enumerate(resources):
            for block, stat in enumerate(("amount", "deposited", "withdrawn")):
                self.columns[f"{name}.{stat}"] = block * size + index
        for index, name in enumerate(types):
            for block, suffix in enumerate(("", ".gained", ".lost", ".held")):
                self.columns[f"aligned.{name}{suffix}"] = L.TEAM_BLOCKS * size + block * len(types) + index
        self.size = L.TEAM_BLOCKS * size + 4 * len(types)

    def column(self, name: str) -> int:
        """Raises UserError for a statistic that teams do not have."""
        if name not in self.columns:
            raise UserError(f"unknown statistic 'collective.{name}' in a reward entry{suggest(name, self.columns)}")
        return self.columns[name]

    def named(self, row: np.ndarray) -> dict[str, float]:
        """Statistics by name from one int32 row [size]; counters that stayed 0 are left out."""
        return {name: float(row[column]) for name, column in self.columns.items() if row[column]}
