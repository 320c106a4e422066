"""Objects of the map: their tokens, owners and areas, and how a use changes them (rules 4, 5, 8)."""

from metta.game.compiled import rule
from metta.game.engine.inventory import capacity, team_room, team_update, update
from metta.game.engine.layout import (
    AG_INVENTORY, AG_TEAM, CELL_EMPTY, F_COLLECTIVE, F_TAG, FI_ACTOR_HAS, FI_ACTOR_HAS_ELEMENT, FI_ACTOR_ROOM,
    FI_ALIGNED, FI_ENEMY, FI_NEUTRAL, FI_OBJECT_HAS, FI_TEAM_HAS, FILTER_COLUMNS, HANDLER_COLUMNS, KI_HANDLER,
    KI_HANDLERS, KI_REMOVABLE, KI_RESOURCE, KI_SOURCE, KI_SPECIAL, KI_TAG, KI_TAGS, KI_TYPE, KIND_COLUMNS, MU_ACTOR,
    MU_ALIGN, MU_CLEAR_GEAR, MU_DEPOSIT, MU_NEUTRALISE, MU_OBJECT, MU_TAKE, MU_TEAM, MUTATION_COLUMNS, OB_CELL, OB_KIND,
    OB_MAX_TOKENS, OB_OWNER, OB_STOCK, OB_TOKEN, OB_TOKENS, S_FILTER, S_GROUP, S_HANDLER, S_KIND, S_MEMBER, S_MUTATION,
    S_TAG, S_TEAM_LIMITED, ST_ALIGNED, ST_GAINED, ST_SCRAMBLED, T_GEAR_GROUP, T_HEIGHT, T_INVENTORY_FEATURE, T_RADIUS,
    T_RESOURCES, T_STATS, T_STRIDE, T_TYPES, TEAM_BLOCKS, GR_MEMBER, GR_MEMBERS, GROUP_COLUMNS, PAD,
)  # fmt: skip
from metta.game.engine.inventory import MOST

NEUTRAL = -1


@rule
def kind_value(t, s, e, o, column):
    """A KI_ column of object `o`'s kind."""
    return t[t[S_KIND] + s.objects[e, o, OB_KIND] * KIND_COLUMNS + column]


@rule
def encode(t, s, e, o):
    """Write the object's observation tokens (feature | value << 8): owner, tags, stock."""
    n = 0
    owner = s.objects[e, o, OB_OWNER]
    if owner != NEUTRAL:
        s.objects[e, o, OB_TOKEN] = t[F_COLLECTIVE] | owner << 8
        n = 1
    first = t[S_TAG] + kind_value(t, s, e, o, KI_TAG)
    for k in range(kind_value(t, s, e, o, KI_TAGS)):
        s.objects[e, o, OB_TOKEN + n] = t[F_TAG] | t[first + k] << 8
        n += 1
    stock = s.objects[e, o, OB_STOCK]
    if stock > 0:
        feature = t[T_INVENTORY_FEATURE] + 2 * kind_value(t, s, e, o, KI_RESOURCE)
        s.objects[e, o, OB_TOKEN + n] = feature | (stock & 255) << 8
        n += 1
        if stock > 255:
            s.objects[e, o, OB_TOKEN + n] = (feature + 1) | (stock >> 8) << 8
            n += 1
    s.objects[e, o, OB_TOKENS] = min(n, OB_MAX_TOKENS)


@rule
def add_cover(t, s, e, cell, team, change):
    """Add `change` to the team's count of areas on every cell within the radius of `cell`."""
    stride, radius = t[T_STRIDE], t[T_RADIUS]
    row, col = cell // stride, cell % stride
    for r in range(max(0, row - radius), min(t[T_HEIGHT] + 2 * PAD, row + radius + 1)):
        for c in range(max(0, col - radius), min(stride, col + radius + 1)):
            if (r - row) * (r - row) + (c - col) * (c - col) <= radius * radius:
                s.cover[e, r * stride + c, team] += change


@rule
def count_member(t, s, e, team, type_, change):
    """Count an object type joining (+1) or leaving (-1) a collective."""
    types = t[T_TYPES]
    base = TEAM_BLOCKS * t[T_RESOURCES] + type_
    s.teams[e, team, base] += change
    s.teams[e, team, base + (types if change > 0 else 2 * types)] += 1


@rule
def set_owner(t, s, e, o, owner):
    """Give object `o` to a collective (or NEUTRAL): counts, areas and tokens follow."""
    before = s.objects[e, o, OB_OWNER]
    if before == owner:
        return
    type_ = kind_value(t, s, e, o, KI_TYPE)
    source = kind_value(t, s, e, o, KI_SOURCE)
    cell = s.objects[e, o, OB_CELL]
    if before != NEUTRAL:
        count_member(t, s, e, before, type_, -1)
        if source:
            add_cover(t, s, e, cell, before, -1)
    if owner != NEUTRAL:
        count_member(t, s, e, owner, type_, 1)
        if source:
            add_cover(t, s, e, cell, owner, 1)
    s.objects[e, o, OB_OWNER] = owner
    encode(t, s, e, o)


@rule
def _passes(t, s, e, a, o, f):
    """Does the filter row at `f` hold for agent `a` using object `o`?"""
    what, item, amount = t[f], t[f + 1], t[f + 2]
    team, owner = s.agents[e, a, AG_TEAM], s.objects[e, o, OB_OWNER]
    if what == FI_ALIGNED:
        return owner == team
    if what == FI_NEUTRAL:
        return owner == NEUTRAL
    if what == FI_ENEMY:
        return owner != NEUTRAL and owner != team
    if what == FI_ACTOR_HAS:
        return s.agents[e, a, AG_INVENTORY + item] >= amount
    if what == FI_OBJECT_HAS:
        return s.objects[e, o, OB_STOCK] >= amount
    if what == FI_TEAM_HAS:
        return s.teams[e, team, item] >= amount
    if what == FI_ACTOR_ROOM:
        return capacity(t, s, e, a, item) >= s.agents[e, a, AG_INVENTORY + item] + amount
    if what == FI_ACTOR_HAS_ELEMENT:
        for element in range(t[T_RESOURCES]):
            if t[t[S_TEAM_LIMITED] + element] and s.agents[e, a, AG_INVENTORY + element] >= amount:
                return True
    return False


@rule
def _clear_gear(t, s, e, a):
    """Remove all gear; limits that it granted are enforced."""
    g = t[S_GROUP] + t[T_GEAR_GROUP] * GROUP_COLUMNS
    first = t[S_MEMBER] + t[g + GR_MEMBER]
    change = 0
    for k in range(t[g + GR_MEMBERS]):
        change += update(t, s, e, a, t[first + k], -MOST)
    return change


@rule
def _take(t, s, e, a, o, item, amount):
    """Move stock from the object to the agent; an emptied extractor leaves the map."""
    room = capacity(t, s, e, a, item) - s.agents[e, a, AG_INVENTORY + item]
    moved = min(amount, s.objects[e, o, OB_STOCK], room)
    if moved > 0:
        s.objects[e, o, OB_STOCK] -= moved
        update(t, s, e, a, item, moved)
        encode(t, s, e, o)
    if s.objects[e, o, OB_STOCK] == 0 and kind_value(t, s, e, o, KI_REMOVABLE):
        s.cells[e, s.objects[e, o, OB_CELL]] = CELL_EMPTY
    return max(0, moved)


@rule
def _deposit(t, s, e, a, item, amount):
    """Move an element from the agent to its team."""
    team = s.agents[e, a, AG_TEAM]
    moved = min(amount, s.agents[e, a, AG_INVENTORY + item], team_room(t, s, e, team, item))
    if moved > 0:
        update(t, s, e, a, item, -moved)
        team_update(t, s, e, team, item, moved)
        s.agents[e, a, t[T_STATS] + ST_GAINED + 2 * t[T_RESOURCES] + item] += moved
    return moved


@rule
def _mutate(t, s, e, a, o, m):
    """Apply the mutation row at `m`; returns whether anything changed."""
    what, item, amount = t[m], t[m + 1], t[m + 2]
    if what == MU_TAKE:
        return _take(t, s, e, a, o, item, amount) != 0
    if what == MU_DEPOSIT:
        return _deposit(t, s, e, a, item, amount) != 0
    if what == MU_ACTOR:
        return update(t, s, e, a, item, amount) != 0
    if what == MU_TEAM:
        return team_update(t, s, e, s.agents[e, a, AG_TEAM], item, amount) != 0
    if what == MU_OBJECT:
        s.objects[e, o, OB_STOCK] = max(0, min(MOST, s.objects[e, o, OB_STOCK] + amount))
        encode(t, s, e, o)
        return True
    if what == MU_CLEAR_GEAR:
        return _clear_gear(t, s, e, a) != 0
    credit = t[T_STATS] + 2 * kind_value(t, s, e, o, KI_SPECIAL)
    if what == MU_ALIGN:
        set_owner(t, s, e, o, s.agents[e, a, AG_TEAM])
        s.agents[e, a, credit + ST_ALIGNED] += 1
    elif what == MU_NEUTRALISE:
        set_owner(t, s, e, o, NEUTRAL)
        s.agents[e, a, credit + ST_SCRAMBLED] += 1
    return True


@rule
def use(t, s, e, a, o):
    """Run the first handler whose filters pass; returns (matched, changed)."""
    first = kind_value(t, s, e, o, KI_HANDLER)
    for h in range(first, first + kind_value(t, s, e, o, KI_HANDLERS)):
        row = t[S_HANDLER] + h * HANDLER_COLUMNS
        f = t[S_FILTER] + t[row] * FILTER_COLUMNS
        passes = True
        for k in range(t[row + 1]):
            if not _passes(t, s, e, a, o, f + k * FILTER_COLUMNS):
                passes = False
                break
        if passes:
            m = t[S_MUTATION] + t[row + 2] * MUTATION_COLUMNS
            changed = False
            for k in range(t[row + 3]):
                changed |= _mutate(t, s, e, a, o, m + k * MUTATION_COLUMNS)
            return True, changed
    return False, False
