"""One agent's observation written by several threads at once, each some cells of the window (rules 8).

For targets with many threads: each counts the tokens of its cells, the sums say where each writes. The result equals
`observe_agent`'s, which writes with one thread, bit by bit.
"""

import numpy as np

from metta.game.compiled import entry, rule
from metta.game.engine.layout import (
    AG_CELL,
    AG_COL,
    AG_ROW,
    CELL_EMPTY,
    CELL_FIRST,
    CELL_VOID,
    CODE_MASK,
    EN_STEP,
    F_AOE,
    LOCATION_BITS,
    LOCATION_MASK,
    PAD,
    PLACES,
    S_PLACE,
    SEEN_SHIFT,
    T_AGENTS,
    T_AOE_VISIBLE,
    T_CELLS,
    TILE_CELLS,
    TOKENS,
)  # fmt: skip
from metta.game.engine.observe import (
    COUNT_SHIFT,
    PADDING,
    THREE,
    put_agent_slowly,
    put_block_slowly,
    put_global,
    put_slowly,
    territory_at,
)
from metta.game.engine.rows import agent_row, block_row, env_row, scratch_row


@rule
def observation_start(t, e, a):
    """First byte of agent `a`'s observation."""
    return np.uint64((e * t[T_AGENTS] + a) * TOKENS) * THREE


@entry
def write_global(t, s, e, a, out):
    """Write the tokens that belong to no cell; returns their number."""
    start = observation_start(t, e, a)
    return np.int64((put_global(t, s, e, a, out, start) - start) // THREE)


@rule
def _place(t, s, e, a, k):
    """Index and location of the `k`-th cell of agent `a`'s window."""
    center = s.agents[agent_row(t, e, a) + AG_CELL]
    packed = t[t[S_PLACE] + (center & (TILE_CELLS - 1)) * PLACES + k]
    return e * t[T_CELLS] + center + (packed >> LOCATION_BITS), packed & LOCATION_MASK


@rule
def _is_agent(t, code):
    return CELL_FIRST <= code < CELL_FIRST + t[T_AGENTS]


@rule
def _size(t, s, e, code):
    """Number of tokens of what stands on a cell."""
    if _is_agent(t, code):
        return np.int64(s.scratch[scratch_row(t, e, code - CELL_FIRST)])
    return np.int64(s.blocks[block_row(t, e, code) + 1] >> COUNT_SHIFT)


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


@entry
def count_cells(t, s, e, a, first, last):
    """Tokens of the window's cells first..last-1, and steps that what stands there was unseen."""
    tokens, visited = 0, 0
    step = s.env[env_row(e) + EN_STEP]
    for k in range(first, last):
        cell, location = _place(t, s, e, a, k)
        word = np.int64(s.cells[cell])
        code = word & CODE_MASK
        if t[T_AOE_VISIBLE] and territory_at(t, s, e, a, location):
            tokens += 1
        if code not in (CELL_EMPTY, CELL_VOID):
            tokens += _size(t, s, e, code)
            if not _seen_before(t, s, e, a, location):
                visited += (step - (word >> SEEN_SHIFT)) & CODE_MASK
    return tokens, visited


@entry
def write_cells(t, s, e, a, first, last, token, out):
    """Write the window's cells first..last-1 from the given token on, as far as there is room. No byte of another
    thread's is touched, not even for a moment."""
    p = observation_start(t, e, a) + np.uint64(token) * THREE
    end = observation_start(t, e, a) + np.uint64(TOKENS) * THREE
    for k in range(first, last):
        cell, location = _place(t, s, e, a, k)
        code = np.int64(s.cells[cell]) & CODE_MASK
        if t[T_AOE_VISIBLE]:
            mask = territory_at(t, s, e, a, location)
            if mask:
                p = put_slowly(out, p, end, location, t[F_AOE] | mask << 8)
        if _is_agent(t, code):
            p = put_agent_slowly(t, s, e, code - CELL_FIRST, out, p, end, location)
        elif code not in (CELL_EMPTY, CELL_VOID):
            block = block_row(t, e, code)
            p = put_block_slowly(out, p, end, location, s.blocks[block], s.blocks[block + 1])


@entry
def write_padding(t, e, a, token, first, step, out):
    """Fill the observation behind its last token: every `step`-th byte, beginning with the `first`."""
    p = observation_start(t, e, a) + np.uint64(token) * THREE + np.uint64(first)
    end = observation_start(t, e, a) + np.uint64(TOKENS) * THREE
    while p < end:
        out[p] = PADDING
        p += np.uint64(step)


@entry
def mark_cells(t, s, e, a, first, last):
    """Note the step at which what stands on the window's cells first..last-1 was seen."""
    step = s.env[env_row(e) + EN_STEP]
    for k in range(first, last):
        cell, _ = _place(t, s, e, a, k)
        code = np.int64(s.cells[cell]) & CODE_MASK
        if code not in (CELL_EMPTY, CELL_VOID):
            s.cells[cell] = code | (step & CODE_MASK) << SEEN_SHIFT
