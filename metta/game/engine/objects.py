"""Objects of the map: their tokens, owners and areas, and how a use changes them (rules 4, 5, 8)."""

import numpy as np

from metta.game.compiled import part, rule
from metta.game.engine.grid import cell_at, vacate
from metta.game.engine.inventory import MOST, capacity, counter, team_room, team_update, update
from metta.game.engine.layout import (
    AG_INVENTORY,
    AG_TEAM,
    BLOCK_COUNT,
    BLOCK_WORDS,
    CELL_FIRST,
    DEPOSITED,
    F_COLLECTIVE,
    F_TAG,
    FI_ACTOR_HAS,
    FI_ACTOR_HAS_ELEMENT,
    FI_ACTOR_ROOM,
    FI_ALIGNED,
    FI_ENEMY,
    FI_NEUTRAL,
    FI_OBJECT_HAS,
    FI_TEAM_HAS,
    FILTER_COLUMNS,
    GR_MEMBER,
    GR_MEMBERS,
    GROUP_COLUMNS,
    HANDLER_COLUMNS,
    KI_HANDLER,
    KI_HANDLERS,
    KI_REMOVABLE,
    KI_RESOURCE,
    KI_SOURCE,
    KI_SPECIAL,
    KI_TAG,
    KI_TAGS,
    KI_TYPE,
    KIND_COLUMNS,
    MU_ACTOR,
    MU_ALIGN,
    MU_CLEAR_GEAR,
    MU_DEPOSIT,
    MU_NEUTRALISE,
    MU_OBJECT,
    MU_TAKE,
    MU_TEAM,
    MUTATION_COLUMNS,
    OB_COL,
    OB_COLUMNS,
    OB_KIND,
    OB_OWNER,
    OB_ROW,
    OB_STOCK,
    PAD,
    S_FILTER,
    S_GROUP,
    S_HANDLER,
    S_KIND,
    S_MEMBER,
    S_MUTATION,
    S_TAG,
    S_TEAM_LIMITED,
    ST_ALIGNED,
    ST_SCRAMBLED,
    T_AGENTS,
    T_CELLS,
    T_COLLECTIVES,
    T_GEAR_GROUP,
    T_HEIGHT,
    T_INVENTORY_FEATURE,
    T_RADIUS,
    T_RESOURCES,
    T_STATS,
    T_TYPES,
    T_WIDTH,
    TEAM_BLOCKS,
    TOKEN_BYTES,
)  # fmt: skip
from metta.game.engine.rows import block_row, object_row, team_row

NEUTRAL = -1


@rule
def kind_value(t, s, ob, column):
    """A KI_ column of the kind of the object at row `ob`."""
    return t[t[S_KIND] + s.objects[ob + OB_KIND] * KIND_COLUMNS + column]


@rule
def put_byte(s, block, position, value):
    """Write a byte of a block that is 0."""
    s.blocks[block + (position >> 3)] |= np.uint64(value) << np.uint64(8 * (position & 7))


@rule
def put_token(s, block, n, feature, value):
    """Write the `n`-th token of a block; returns the number of tokens."""
    put_byte(s, block, TOKEN_BYTES * n + 1, feature)
    put_byte(s, block, TOKEN_BYTES * n + 2, value)
    return n + 1


@rule
def encode(t, s, e, ob):
    """Write the tokens by which the object is seen: owner, tags, stock."""
    block = block_row(t, e, CELL_FIRST + t[T_AGENTS] + (ob - object_row(t, e, 0)) // OB_COLUMNS)
    s.blocks[block : block + BLOCK_WORDS] = 0
    n = 0
    owner = s.objects[ob + OB_OWNER]
    if owner != NEUTRAL:
        n = put_token(s, block, n, t[F_COLLECTIVE], owner)
    first = t[S_TAG] + kind_value(t, s, ob, KI_TAG)
    for k in range(kind_value(t, s, ob, KI_TAGS)):
        n = put_token(s, block, n, t[F_TAG], t[first + k])
    stock = s.objects[ob + OB_STOCK]
    if stock > 0:
        feature = t[T_INVENTORY_FEATURE] + 2 * kind_value(t, s, ob, KI_RESOURCE)
        n = put_token(s, block, n, feature, stock & 255)
        if stock > 255:
            n = put_token(s, block, n, feature + 1, stock >> 8)
    put_byte(s, block, BLOCK_COUNT, n)


@rule
def add_cover(t, s, e, ob, team, change):
    """Add `change` to the team's count of areas on every cell within the radius of the object."""
    radius, row, col = t[T_RADIUS], s.objects[ob + OB_ROW], s.objects[ob + OB_COL]
    base = e * t[T_CELLS] * t[T_COLLECTIVES] + team
    for r in range(max(0, row - radius), min(t[T_HEIGHT] + 2 * PAD, row + radius + 1)):
        for c in range(max(0, col - radius), min(t[T_WIDTH] + 2 * PAD, col + radius + 1)):
            if (r - row) * (r - row) + (c - col) * (c - col) <= radius * radius:
                s.cover[base + cell_at(t, r, c) * t[T_COLLECTIVES]] += change


@rule
def count_member(t, s, e, team, type_, change):
    """Count an object type joining (+1) or leaving (-1) a collective."""
    types = t[T_TYPES]
    base = team_row(t, e, team) + TEAM_BLOCKS * t[T_RESOURCES] + type_
    s.teams[base] += change
    s.teams[base + (types if change > 0 else 2 * types)] += 1


@rule
def set_owner(t, s, e, ob, owner):
    """Give the object at row `ob` to a collective (or NEUTRAL): counts, areas and tokens follow."""
    before = s.objects[ob + OB_OWNER]
    if before == owner:
        return
    type_ = kind_value(t, s, ob, KI_TYPE)
    source = kind_value(t, s, ob, KI_SOURCE)
    if before != NEUTRAL:
        count_member(t, s, e, before, type_, -1)
        if source:
            add_cover(t, s, e, ob, before, -1)
    if owner != NEUTRAL:
        count_member(t, s, e, owner, type_, 1)
        if source:
            add_cover(t, s, e, ob, owner, 1)
    s.objects[ob + OB_OWNER] = owner
    encode(t, s, e, ob)


@rule
def _passes(t, s, e, g, ob, f):
    """Does the filter row at `f` hold for the agent at row `g` using the object at row `ob`?"""
    what, item, amount = t[f], t[f + 1], t[f + 2]
    team, owner = s.agents[g + AG_TEAM], s.objects[ob + OB_OWNER]
    if what == FI_ALIGNED:
        return owner == team
    if what == FI_NEUTRAL:
        return owner == NEUTRAL
    if what == FI_ENEMY:
        return owner != NEUTRAL and owner != team
    if what == FI_ACTOR_HAS:
        return s.agents[g + AG_INVENTORY + item] >= amount
    if what == FI_OBJECT_HAS:
        return s.objects[ob + OB_STOCK] >= amount
    if what == FI_TEAM_HAS:
        return s.teams[team_row(t, e, team) + item] >= amount
    if what == FI_ACTOR_ROOM:
        return capacity(t, s, g, item) >= s.agents[g + AG_INVENTORY + item] + amount
    if what == FI_ACTOR_HAS_ELEMENT:
        for element in range(t[T_RESOURCES]):
            if t[t[S_TEAM_LIMITED] + element] and s.agents[g + AG_INVENTORY + element] >= amount:
                return True
    return False


@part
def _clear_gear(t, s, g):
    """Remove all gear; limits that it granted are enforced."""
    row = t[S_GROUP] + t[T_GEAR_GROUP] * GROUP_COLUMNS
    first = t[S_MEMBER] + t[row + GR_MEMBER]
    change = 0
    for k in range(t[row + GR_MEMBERS]):
        change += update(t, s, g, t[first + k], -MOST)
    return change


@rule
def _vanish(t, s, e, ob):
    """An emptied extractor leaves the map; returns whether it did."""
    if s.objects[ob + OB_STOCK] == 0 and kind_value(t, s, ob, KI_REMOVABLE):
        vacate(t, s, e, s.objects[ob + OB_ROW], s.objects[ob + OB_COL])
        return True
    return False


@part
def _take(t, s, e, g, ob, item, amount):
    """Move stock from the object to the agent; returns whether anything changed."""
    room = capacity(t, s, g, item) - s.agents[g + AG_INVENTORY + item]
    moved = min(amount, s.objects[ob + OB_STOCK], room)
    if moved > 0:
        s.objects[ob + OB_STOCK] -= moved
        update(t, s, g, item, moved)
        encode(t, s, e, ob)
    return _vanish(t, s, e, ob) or moved > 0


@part
def _deposit(t, s, e, g, item, amount):
    """Move an element from the agent to its team."""
    m = team_row(t, e, s.agents[g + AG_TEAM])
    moved = min(amount, s.agents[g + AG_INVENTORY + item], team_room(t, s, m, item))
    if moved > 0:
        update(t, s, g, item, -moved)
        team_update(t, s, m, item, moved)
        s.agents[counter(t, g, item) + DEPOSITED] += moved
    return moved


@part
def _mutate(t, s, e, g, ob, m):
    """Apply the mutation row at `m`; returns whether anything changed."""
    what, item, amount = t[m], t[m + 1], t[m + 2]
    if what == MU_TAKE:
        return _take(t, s, e, g, ob, item, amount)
    if what == MU_DEPOSIT:
        return _deposit(t, s, e, g, item, amount) != 0
    if what == MU_ACTOR:
        return update(t, s, g, item, amount) != 0
    if what == MU_TEAM:
        return team_update(t, s, team_row(t, e, s.agents[g + AG_TEAM]), item, amount) != 0
    if what == MU_OBJECT:
        s.objects[ob + OB_STOCK] = max(0, min(MOST, s.objects[ob + OB_STOCK] + amount))
        encode(t, s, e, ob)
        _vanish(t, s, e, ob)
        return True
    if what == MU_CLEAR_GEAR:
        return _clear_gear(t, s, g) != 0
    credit = t[T_STATS] + 2 * kind_value(t, s, ob, KI_SPECIAL)
    if what == MU_ALIGN:
        set_owner(t, s, e, ob, s.agents[g + AG_TEAM])
        s.agents[g + credit + ST_ALIGNED] += 1
    elif what == MU_NEUTRALISE:
        set_owner(t, s, e, ob, NEUTRAL)
        s.agents[g + credit + ST_SCRAMBLED] += 1
    return True


@part
def use(t, s, e, g, ob):
    """Run the first handler whose filters pass; returns (matched, changed)."""
    first = kind_value(t, s, ob, KI_HANDLER)
    for h in range(first, first + kind_value(t, s, ob, KI_HANDLERS)):
        row = t[S_HANDLER] + h * HANDLER_COLUMNS
        f = t[S_FILTER] + t[row] * FILTER_COLUMNS
        passes = True
        for k in range(t[row + 1]):
            if not _passes(t, s, e, g, ob, f + k * FILTER_COLUMNS):
                passes = False
                break
        if passes:
            first_mutation = t[S_MUTATION] + t[row + 2] * MUTATION_COLUMNS
            changed = False
            for k in range(t[row + 3]):
                changed |= _mutate(t, s, e, g, ob, first_mutation + k * MUTATION_COLUMNS)
            return True, changed
    return False, False
