"""One agent's observation written by several threads at once, each some cells of the window (rules 8).

For targets with many threads: each counts the tokens of its cells, the sums say where each writes. The result equals
`observe_agent`'s, which writes with one thread, bit by bit.
"""

import numpy as np

from metta.game.compiled import rule
from metta.game.engine.layout import (
    AG_CELL,
    AG_COL,
    AG_ROW,
    AG_TEAM,
    AG_TOKENS,
    CELL_FIRST,
    CELL_VOID,
    CELL_WALL,
    CODE_MASK,
    EN_STEP,
    F_AOE,
    F_TAG,
    OB_TOKEN,
    OB_TOKENS,
    PAD,
    S_OFFSET,
    SEEN_SHIFT,
    T_AGENTS,
    T_AOE_VISIBLE,
    T_BLOCK,
    T_CELLS,
    T_WALL_TAG,
    TOKENS,
)  # fmt: skip
from metta.game.engine.observe import THREE, put, put_block, put_global, territory
from metta.game.engine.rows import agent_row, env_row, object_row


@rule
def observation_start(t, e, a):
    """First byte of agent `a`'s observation."""
    return np.uint64((e * t[T_AGENTS] + a) * TOKENS) * THREE


@rule
def write_global(t, s, e, a, out):
    """Write the tokens that belong to no cell; returns their number."""
    start = observation_start(t, e, a)
    return np.int64((put_global(t, s, e, a, out, start) - start) // THREE)


@rule
def _cell(t, s, e, a, k):
    """Index of the k-th cell of agent `a`'s window."""
    return e * t[T_CELLS] + s.agents[agent_row(t, e, a) + AG_CELL] + t[t[S_OFFSET] + 2 * k]


@rule
def _mask(t, s, e, a, cell, code):
    """Value of the cell's territory token; 0: none."""
    if not t[T_AOE_VISIBLE] or code == CELL_VOID:
        return 0
    return territory(t, s, e, s.agents[agent_row(t, e, a) + AG_TEAM], cell - e * t[T_CELLS])


@rule
def _size(t, s, e, code):
    """Number of tokens of what stands on a cell."""
    if code == CELL_WALL:
        return 1
    if code < CELL_FIRST:
        return 0
    if code < CELL_FIRST + t[T_AGENTS]:
        return s.agents[agent_row(t, e, code - CELL_FIRST) + AG_TOKENS]
    return s.objects[object_row(t, e, code - CELL_FIRST - t[T_AGENTS]) + OB_TOKENS]


@rule
def _seen_before(t, s, e, a, location):
    """Does an agent of a lower number see the cell too? The steps unseen count for the lowest that does."""
    g = agent_row(t, e, a)
    row, col = s.agents[g + AG_ROW] + (location >> 4) - PAD, s.agents[g + AG_COL] + (location & 15) - PAD
    for b in range(a):
        other = agent_row(t, e, b)
        if abs(s.agents[other + AG_ROW] - row) <= PAD and abs(s.agents[other + AG_COL] - col) <= PAD:
            return True
    return False


@rule
def count_cells(t, s, e, a, first, last):
    """Tokens of the window's cells first..last-1, and steps that they were unseen."""
    tokens, visited = 0, 0
    step = s.env[env_row(e) + EN_STEP]
    for k in range(first, last):
        cell = _cell(t, s, e, a, k)
        word = s.cells[cell]
        code = word & CODE_MASK
        size = _size(t, s, e, code)
        tokens += size + (_mask(t, s, e, a, cell, code) != 0)
        if size and not _seen_before(t, s, e, a, t[t[S_OFFSET] + 2 * k + 1]):
            visited += (step - (word >> SEEN_SHIFT)) & CODE_MASK
    return tokens, visited


@rule
def write_cells(t, s, e, a, first, last, token, out):
    """Write the window's cells first..last-1 from the given token on, as far as there is room."""
    start = observation_start(t, e, a)
    end = start + np.uint64(TOKENS) * THREE
    p = min(end, start + np.uint64(token) * THREE)
    for k in range(first, last):
        cell, location = _cell(t, s, e, a, k), t[t[S_OFFSET] + 2 * k + 1]
        code = s.cells[cell] & CODE_MASK
        mask = _mask(t, s, e, a, cell, code)
        if mask and p < end:
            p = put(out, p, location, t[F_AOE], mask)
        if code == CELL_WALL:
            if p < end:
                p = put(out, p, location, t[F_TAG], t[T_WALL_TAG])
        elif code >= CELL_FIRST + t[T_AGENTS]:
            ob = object_row(t, e, code - CELL_FIRST - t[T_AGENTS])
            p = put_block(out, p, end, location, s.objects, ob + OB_TOKEN, s.objects[ob + OB_TOKENS])
        elif code >= CELL_FIRST:
            g = agent_row(t, e, code - CELL_FIRST)
            p = put_block(out, p, end, location, s.agents, g + t[T_BLOCK], s.agents[g + AG_TOKENS])


@rule
def write_padding(t, e, a, token, first, step, out):
    """Fill the observation behind its last token: every `step`-th byte, beginning with the `first`."""
    p = observation_start(t, e, a) + np.uint64(token) * THREE + np.uint64(first)
    end = observation_start(t, e, a) + np.uint64(TOKENS) * THREE
    while p < end:
        out[p] = 255
        p += np.uint64(step)


@rule
def mark_cells(t, s, e, a, first, last):
    """Note the step at which the objects in the window's cells first..last-1 were seen."""
    step = s.env[env_row(e) + EN_STEP]
    for k in range(first, last):
        cell = _cell(t, s, e, a, k)
        code = s.cells[cell] & CODE_MASK
        if _size(t, s, e, code):
            s.cells[cell] = code | (step & CODE_MASK) << SEEN_SHIFT
