"""The engine's arrays as tests read them: the one place in the tests that knows where something lies in them."""

import numpy as np

from metta.game.engine import layout as L
from metta.game.engine.batch import EnvBatch
from metta.game.engine.grid import cell_at

EMPTY, WALL, VOID, OBJECT, AGENT = range(5)  # AGENT + a: agent a


def _padded(batch: EnvBatch, e: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the map's cells in the padded map, int [H, W]."""
    rows, cols = np.indices(batch.map(e).shape)
    return rows + L.PAD, cols + L.PAD


def _cells(batch: EnvBatch, e: int) -> np.ndarray:
    """Numbers of the map's cells, int [H, W]."""
    return cell_at.py_func(batch._builder.header, *_padded(batch, e))


def occupants(batch: EnvBatch, e: int) -> np.ndarray:
    """What the engine has on every cell, int [H, W]: EMPTY, WALL, VOID, OBJECT or AGENT + number."""
    codes = batch._state.cells[e].astype(np.int64)[_cells(batch, e)] & L.CODE_MASK
    first, last = L.CELL_FIRST, L.CELL_FIRST + batch.num_agents
    plain = np.select([codes == L.CELL_EMPTY, codes == L.CELL_WALL, codes == L.CELL_VOID], [EMPTY, WALL, VOID], OBJECT)
    return np.where((codes >= first) & (codes < last), codes - first + AGENT, plain)


def occupied(batch: EnvBatch, e: int) -> np.ndarray:
    """Which cells the engine's bit tables mark as holding something, int [H, W]."""
    rows, cols = _padded(batch, e)
    words = batch._state.bits[e][rows * int(batch._builder.header[L.T_BIT_WORDS]) + (cols >> 6)]
    return (words >> (cols & 63).astype(np.uint64) & np.uint64(1)).astype(int)


def covers(batch: EnvBatch, e: int) -> np.ndarray:
    """Areas of each collective that cover each cell, as the engine counts them, [H, W, C]."""
    return batch._state.cover[e][_cells(batch, e)]


def give(batch: EnvBatch, e: int, agent: int, item: int, amount: int) -> None:
    """Put an amount into an agent's inventory behind the engine's back."""
    batch._state.agents[e, agent, L.AG_INVENTORY + item] = amount
