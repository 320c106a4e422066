"""The engine's arrays as tests read them: the one place in the tests that knows where something lies in them."""

import numpy as np

from metta.game.engine import layout as L
from metta.game.engine.batch import EnvBatch

EMPTY, WALL, VOID, OBJECT, AGENT = range(5)  # AGENT + a: agent a


def _inner(batch: EnvBatch, e: int, values: np.ndarray) -> np.ndarray:
    """Values of the padded map's cells as [H, W, ...] without the padding."""
    height, width = batch.map(e).shape
    padded = values.reshape(height + 2 * L.PAD, width + 2 * L.PAD, *values.shape[1:])
    return padded[L.PAD : -L.PAD, L.PAD : -L.PAD]


def occupants(batch: EnvBatch, e: int) -> np.ndarray:
    """What the engine has on every cell, int [H, W]: EMPTY, WALL, VOID, OBJECT or AGENT + number."""
    codes = _inner(batch, e, batch._state.cells[e].astype(np.int64) & L.CODE_MASK)
    first, last = L.CELL_FIRST, L.CELL_FIRST + batch.num_agents
    plain = np.select([codes == L.CELL_EMPTY, codes == L.CELL_WALL, codes == L.CELL_VOID], [EMPTY, WALL, VOID], OBJECT)
    return np.where((codes >= first) & (codes < last), codes - first + AGENT, plain)


def covers(batch: EnvBatch, e: int) -> np.ndarray:
    """Areas of each collective that cover each cell, as the engine counts them, [H, W, C]."""
    return _inner(batch, e, batch._state.cover[e])


def give(batch: EnvBatch, e: int, agent: int, item: int, amount: int) -> None:
    """Put an amount into an agent's inventory behind the engine's back."""
    batch._state.agents[e, agent, L.AG_INVENTORY + item] = amount
