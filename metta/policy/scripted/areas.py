"""Things on the remembered map, their owners, and the areas that follow from them (rules 5)."""

from metta.policy.scripted.compiled import kernel
from metta.policy.scripted.layout import (
    EXTRACTOR,
    FAR,
    FREE,
    GONE,
    HALF,
    HUB,
    JUNCTION,
    MI_DIRTY,
    MI_EXPLORED,
    MI_HUB,
    MI_STEP,
    MI_THINGS,
    NEUTRAL,
    OURS,
    RADIUS,
    SIZE,
    TEAM_JUNCTION,
    TH_AVOID,
    TH_CELL,
    TH_CLAIM,
    TH_HOME,
    TH_KIND,
    TH_OWNER,
    TH_SEEN,
    TH_STOCK,
    THING,
    THINGS,
    WALL,
)  # fmt: skip

SAVED = 16  # steps from an extractor beyond which a depot counts no more


@kernel
def is_source(kind):
    return kind in (HUB, JUNCTION, TEAM_JUNCTION)


@kernel
def distance(cell, other):
    """Manhattan distance of two cells."""
    return abs(cell // SIZE - other // SIZE) + abs(cell % SIZE - other % SIZE)


@kernel
def add_area(layer, cell, delta):
    """Add `delta` to every cell of the area around `cell`."""
    row, col = cell // SIZE, cell % SIZE
    for r in range(max(0, row - RADIUS), min(SIZE, row + RADIUS + 1)):
        room = RADIUS * RADIUS - (r - row) * (r - row)
        for c in range(max(0, col - RADIUS), min(SIZE, col + RADIUS + 1)):
            if (c - col) * (c - col) <= room:
                layer[r * SIZE + c] += delta


@kernel
def set_owner(s, m, i, owner):
    """Remember who owns thing `i`, and what its area is."""
    before = s.things[m, i, TH_OWNER]
    if before == owner:
        return
    s.things[m, i, TH_OWNER] = owner
    if not is_source(s.things[m, i, TH_KIND]):
        return
    cell = s.things[m, i, TH_CELL]
    if before != NEUTRAL:
        add_area(s.friend[m] if before == OURS else s.enemy[m], cell, -1)
    if owner != NEUTRAL:
        add_area(s.friend[m] if owner == OURS else s.enemy[m], cell, 1)
    s.minds[m, MI_DIRTY] = 1
    s.minds[m, MI_EXPLORED] = 0  # a larger area lets agents go farther


@kernel
def see_thing(s, m, cell, kind, owner, stock):
    """Remember a thing in view; a mind that is full takes further ones for walls."""
    i = s.at[m, cell] - THING
    if i < 0 or s.things[m, i, TH_KIND] != kind:
        i = s.minds[m, MI_THINGS]
        if i == THINGS:
            s.at[m, cell] = WALL
            return
        s.minds[m, MI_THINGS] += 1
        s.minds[m, MI_DIRTY] = 1
        s.at[m, cell] = THING + i
        s.things[m, i, TH_KIND] = kind
        s.things[m, i, TH_CELL] = cell
        s.things[m, i, TH_OWNER] = NEUTRAL
        s.things[m, i, TH_CLAIM] = s.things[m, i, TH_AVOID] = 0
        s.things[m, i, TH_HOME] = FAR
        if kind == HUB and owner == OURS:
            s.minds[m, MI_HUB] = i + 1
    s.things[m, i, TH_STOCK] = stock
    s.things[m, i, TH_SEEN] = s.minds[m, MI_STEP]
    set_owner(s, m, i, owner)


@kernel
def see_nothing(s, m, cell):
    """Remember that a cell is empty: an extractor that stood there is used up."""
    code = s.at[m, cell]
    if code >= THING:
        set_owner(s, m, code - THING, NEUTRAL)
        s.things[m, code - THING, TH_KIND] = GONE
    s.at[m, cell] = FREE


@kernel
def clear_mind(s, m):
    """Forget everything; the rim of the remembered square is wall."""
    s.at[m, :] = 0
    s.friend[m, :] = 0
    s.enemy[m, :] = 0
    s.busy[m, :] = 0
    s.minds[m, :] = 0
    s.marks[m, 0] = 0
    s.ghosts[m, :, :] = 0
    for k in range(SIZE):
        s.at[m, k] = s.at[m, (SIZE - 1) * SIZE + k] = WALL
        s.at[m, k * SIZE] = s.at[m, k * SIZE + SIZE - 1] = WALL


@kernel
def find_homes(s, m):
    """For every extractor the steps to the nearest depot; for every junction how many it would save, over all."""
    count = s.minds[m, MI_THINGS]
    for k in range(count):
        if s.things[m, k, TH_KIND] == JUNCTION:
            s.things[m, k, TH_HOME] = 0
    for i in range(count):
        if s.things[m, i, TH_KIND] < EXTRACTOR:
            continue
        cell, home = s.things[m, i, TH_CELL], 2 * HALF
        for k in range(count):
            if s.things[m, k, TH_OWNER] == OURS and is_source(s.things[m, k, TH_KIND]):
                home = min(home, distance(cell, s.things[m, k, TH_CELL]))
        s.things[m, i, TH_HOME] = home
        for k in range(count):
            if s.things[m, k, TH_KIND] == JUNCTION and s.things[m, k, TH_OWNER] != OURS:
                saved = min(home, SAVED) - distance(cell, s.things[m, k, TH_CELL])
                s.things[m, k, TH_HOME] += max(0, saved)
    s.minds[m, MI_DIRTY] = 0
