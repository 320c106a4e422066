"""From observation tokens to memory (rules 8). Nothing else of the environment reaches a scripted policy."""

from metta.policy.scripted.areas import see_nothing, see_thing
from metta.policy.scripted.compiled import kernel
from metta.policy.scripted.layout import (
    AG_CELL,
    AG_COL,
    AG_COLUMNS,
    AG_FRAMED,
    AG_GEAR,
    AG_ITEM,
    AG_LAST,
    AG_MIND,
    AG_ROW,
    AG_SPAWN_COL,
    AG_SPAWN_ROW,
    AG_VIBE,
    AG_WORN,
    EXTRACTOR,
    FE_COLLECTIVE,
    FE_EAST,
    FE_ITEM,
    FE_LAST_ACTION,
    FE_NORTH,
    FE_SOUTH,
    FE_STOCK,
    FE_TAG,
    FE_VIBE,
    FE_WEST,
    HALF,
    HUB,
    MI_STOCK,
    MI_TEAM,
    NEUTRAL,
    OURS,
    SIZE,
    STATION,
    TAG_AGENT,
    TAG_WALL,
    THEIRS,
    WALL,
)  # fmt: skip

TOKENS = 200
GLOBAL, OWN, NOTHING = 0xFE, 0x55, 0xFF
MIDDLE = 5
HEART = 1
ELEMENT = 5  # first element among the resources


@kernel
def number(byte):
    """A byte as a signed number: unsigned ones would turn differences into large values."""
    return int(byte) + 0


@kernel
def _read_globals(t, s, g, tokens):
    """Read what stands before the first cell; returns the first token of a cell."""
    m = s.agents[g, AG_MIND]
    row, col = 0, 0
    k = 0
    while k < TOKENS and tokens[k, 0] == GLOBAL:
        meaning, value = t.feature[tokens[k, 1]], number(tokens[k, 2])
        if meaning == FE_EAST:
            col = value
        elif meaning == FE_WEST:
            col = -value
        elif meaning == FE_SOUTH:
            row = value
        elif meaning == FE_NORTH:
            row = -value
        elif meaning == FE_LAST_ACTION:
            s.agents[g, AG_LAST] = value
        elif meaning >= FE_STOCK:
            element = (meaning - FE_STOCK) // 2
            if (meaning - FE_STOCK) % 2:
                s.minds[m, MI_STOCK + element] += 256 * value
            else:
                s.minds[m, MI_STOCK + element] = value
        k += 1
    s.agents[g, AG_ROW] = s.agents[g, AG_SPAWN_ROW] + row
    s.agents[g, AG_COL] = s.agents[g, AG_SPAWN_COL] + col
    return k


@kernel
def _read_self(t, s, g, tokens, k):
    """Read the agent's own cell: inventory, vibe, team; returns the first token of the next cell."""
    for item in range(AG_ITEM, AG_ITEM + 13):
        s.agents[g, item] = 0
    s.agents[g, AG_VIBE] = 0
    while k < TOKENS and tokens[k, 0] == OWN:
        meaning, value = t.feature[tokens[k, 1]], number(tokens[k, 2])
        if meaning == FE_COLLECTIVE:
            s.minds[s.agents[g, AG_MIND], MI_TEAM] = value
        elif meaning == FE_VIBE:
            s.agents[g, AG_VIBE] = value
        elif FE_ITEM <= meaning < FE_STOCK:
            item = AG_ITEM + (meaning - FE_ITEM) // 2
            s.agents[g, item] += 256 * value if (meaning - FE_ITEM) % 2 else value
        k += 1
    s.agents[g, AG_GEAR] = 0
    for gear in range(4):
        if s.agents[g, AG_WORN + gear] > 0:
            s.agents[g, AG_GEAR] = 1 + gear
    return k


@kernel
def _find_hub(t, s, g, tokens, k):
    """Place an agent that has not yet seen its hub: hub-relative positions begin with the first sight of it."""
    owner = -1
    at = -1
    while k < TOKENS and tokens[k, 0] != NOTHING:
        if tokens[k, 0] != at:
            at, owner = number(tokens[k, 0]), -1
        meaning = t.feature[tokens[k, 1]]
        if meaning == FE_COLLECTIVE:
            owner = number(tokens[k, 2])
        if meaning == FE_TAG and t.tag[tokens[k, 2]] == HUB and owner == s.minds[s.agents[g, AG_MIND], MI_TEAM]:
            row, col = HALF - ((at >> 4) - MIDDLE), HALF - ((at & 15) - MIDDLE)
            s.agents[g, AG_SPAWN_ROW] += row - s.agents[g, AG_ROW]
            s.agents[g, AG_SPAWN_COL] += col - s.agents[g, AG_COL]
            s.agents[g, AG_ROW], s.agents[g, AG_COL] = row, col
            s.agents[g, AG_FRAMED] = 1
            return
        k += 1


@kernel
def cell_of(row, col):
    """Cell number, or -1 on or beyond the rim of the remembered square."""
    if row <= 0 or col <= 0 or row >= SIZE - 1 or col >= SIZE - 1:
        return -1
    return row * SIZE + col


@kernel
def _read_cell(t, s, g, tokens, k):
    """Read the tokens of one cell into memory; returns the first token of the next."""
    m = s.agents[g, AG_MIND]
    at = number(tokens[k, 0])
    kind, owner, elements, hearts = 0, NEUTRAL, 0, 0
    while k < TOKENS and tokens[k, 0] == at:
        meaning, value = t.feature[tokens[k, 1]], number(tokens[k, 2])
        if meaning == FE_TAG:
            kind = max(kind, t.tag[value])
        elif meaning == FE_COLLECTIVE:
            owner = OURS if value == s.minds[m, MI_TEAM] else THEIRS
        elif FE_ITEM <= meaning < FE_STOCK:
            item, high = (meaning - FE_ITEM) // 2, (meaning - FE_ITEM) % 2
            amount = 256 * value if high else value
            if item == HEART:
                hearts += amount
            elif ELEMENT <= item < ELEMENT + 4:
                elements += amount
        k += 1
    cell = cell_of(s.agents[g, AG_ROW] + (at >> 4) - MIDDLE, s.agents[g, AG_COL] + (at & 15) - MIDDLE)
    s.window[at] = 1
    if cell < 0 or kind == 0:
        return k
    if kind == TAG_WALL:
        s.at[m, cell] = WALL
    elif kind == TAG_AGENT:
        see_nothing(s, m, cell)
        mark(s, m, cell, 1)
    elif not STATION <= kind < EXTRACTOR or owner == OURS:
        see_thing(s, m, cell, kind, owner, hearts if kind == HUB else elements)
    else:
        s.at[m, cell] = WALL  # a station of another team
    return k


@kernel
def mark(s, m, cell, what):
    """Note that a cell is in use this step."""
    if s.busy[m, cell] == 0:
        count = s.marks[m, 0] + 1
        if count >= s.marks.shape[1]:
            return
        s.marks[m, 0] = count
        s.marks[m, count] = cell
    s.busy[m, cell] = what


@kernel
def clear_marks(s, m):
    for k in range(1, s.marks[m, 0] + 1):
        s.busy[m, s.marks[m, k]] = 0
    s.marks[m, 0] = 0


@kernel
def _see_free(s, g):
    """Every cell of the window that shows nothing is free."""
    m, top, left = s.agents[g, AG_MIND], s.agents[g, AG_ROW] - MIDDLE, s.agents[g, AG_COL] - MIDDLE
    for r in range(2 * MIDDLE + 1):
        for c in range(2 * MIDDLE + 1):
            if s.window[r << 4 | c] == 0:
                cell = cell_of(top + r, left + c)
                if cell >= 0 and s.at[m, cell] != 1:
                    see_nothing(s, m, cell)


@kernel
def decode(t, s, g, tokens):
    """Read one agent's observation, uint8 [200, 3], into its own columns and its mind's memory."""
    k = _read_self(t, s, g, tokens, _read_globals(t, s, g, tokens))
    if s.agents[g, AG_FRAMED] == 0:
        _find_hub(t, s, g, tokens, k)
        if s.agents[g, AG_FRAMED] == 0:
            return
    cell = cell_of(s.agents[g, AG_ROW], s.agents[g, AG_COL])
    if cell < 0:
        s.agents[g, AG_FRAMED] = 0
        return
    s.agents[g, AG_CELL] = cell
    mark(s, s.agents[g, AG_MIND], cell, 1)
    see_nothing(s, s.agents[g, AG_MIND], cell)
    s.window[:] = 0
    s.window[OWN] = 1
    while k < TOKENS and tokens[k, 0] != NOTHING:
        k = _read_cell(t, s, g, tokens, k)
    if k < TOKENS:  # a full observation may lack cells
        _see_free(s, g)


@kernel
def forget_agent(s, g, mind):
    """Back to the state before the first observation; role settings are given anew."""
    for column in range(AG_COLUMNS):
        s.agents[g, column] = 0
    s.agents[g, AG_MIND] = mind
