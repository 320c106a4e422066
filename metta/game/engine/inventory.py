"""Inventories of cogs and teams: limits, saturating writes, enforcement (rules 1.2, 1.3).

`g` is where the cog's row starts in `agents`, `m` where the team's row starts in `teams`.
"""

from metta.game.compiled import rule
from metta.game.engine.layout import (
    AG_INVENTORY,
    AG_OVERFULL,
    GAINED,
    GR_FLOOR,
    GR_MAX,
    GR_MEMBER,
    GR_MEMBERS,
    GR_MIN,
    GR_MODIFIER,
    GR_MODIFIERS,
    GROUP_COLUMNS,
    LOST,
    MODIFIER_COLUMNS,
    RESOURCE_STATS,
    S_GROUP,
    S_GROUP_OF,
    S_MEMBER,
    S_MODIFIER,
    S_SUFFICIENT,
    S_TEAM_LIMITED,
    ST_DEATH,
    ST_RESOURCE,
    T_ADD_BONUSES,
    T_ELEMENT_LIMIT,
    T_GROUPS,
    T_HELD,
    T_HP,
    T_RESOURCES,
    T_STATS,
)  # fmt: skip

MOST = 65535  # quantities are 16-bit in the rules


@rule
def counter(t, g, item):
    """Where a cog's counters of a resource start: gained, lost, deposited."""
    return g + t[T_STATS] + ST_RESOURCE + RESOURCE_STATS * item


@rule
def limit_of(t, s, g, group):
    """Present capacity of a limit group: max(min, bonuses), at most max."""
    row = t[S_GROUP] + group * GROUP_COLUMNS
    first = t[S_MODIFIER] + t[row + GR_MODIFIER] * MODIFIER_COLUMNS
    bonus = 0
    for k in range(t[row + GR_MODIFIERS]):
        bonus += t[first + 2 * k + 1] * s.agents[g + AG_INVENTORY + t[first + 2 * k]]
    base = t[row + GR_MIN]
    value = base + bonus if t[T_ADD_BONUSES] else max(base, bonus)
    return max(0, min(value, t[row + GR_MAX], MOST))


@rule
def capacity(t, s, g, item):
    """Most that the cog may hold of `item`, given the other items of its group."""
    group = t[t[S_GROUP_OF] + item]
    if group < 0:
        return MOST
    cap = limit_of(t, s, g, group)
    row = t[S_GROUP] + group * GROUP_COLUMNS
    count = t[row + GR_MEMBERS]
    if count > 1:
        first = t[S_MEMBER] + t[row + GR_MEMBER]
        for k in range(count):
            if t[first + k] != item:
                cap -= s.agents[g + AG_INVENTORY + t[first + k]]
    return max(0, cap)


@rule
def hold_item(t, s, g, item):
    """Put an item that was absent in front of the list of items held: observations show them in this order."""
    held = t[T_HELD]
    count = s.agents[g + held]
    for k in range(count, 0, -1):
        s.agents[g + held + k + 1] = s.agents[g + held + k]
    s.agents[g + held + 1] = item
    s.agents[g + held] = count + 1


@rule
def _drop_item(t, s, g, item):
    """Take an item out of the list of items held."""
    held = t[T_HELD]
    count = s.agents[g + held]
    k = 1
    while k <= count and s.agents[g + held + k] != item:
        k += 1
    for later in range(k, count):
        s.agents[g + held + later] = s.agents[g + held + later + 1]
    s.agents[g + held] = count - 1


@rule
def _lose(t, s, g, item, amount):
    """Count a loss and, when it empties hp, a death."""
    if s.agents[g + AG_INVENTORY + item] == 0:
        _drop_item(t, s, g, item)
    s.agents[counter(t, g, item) + LOST] += amount
    if item == t[T_HP] and s.agents[g + AG_INVENTORY + item] == 0:
        s.agents[g + t[T_STATS] + ST_DEATH] += 1


@rule
def _enforce(t, s, g):
    """Drop what exceeds a limit, until no group does: a dropped modifier lowers other limits."""
    changed = True
    s.agents[g + AG_OVERFULL] = 0
    while changed:
        changed = False
        for group in range(t[T_GROUPS]):
            row = t[S_GROUP] + group * GROUP_COLUMNS
            first = t[S_MEMBER] + t[row + GR_MEMBER]
            held = 0
            for k in range(t[row + GR_MEMBERS]):
                held += s.agents[g + AG_INVENTORY + t[first + k]]
            if held == 0:
                continue
            excess = held - limit_of(t, s, g, group)
            for k in range(t[row + GR_MEMBERS]):
                item = t[first + k]
                drop = min(excess, s.agents[g + AG_INVENTORY + item])
                if drop > 0:
                    s.agents[g + AG_INVENTORY + item] -= drop
                    _lose(t, s, g, item, drop)
                    excess -= drop
                    changed = True


@rule
def update(t, s, g, item, delta):
    """Add `delta` to an item of a cog within 0 and its capacity; returns the change that came about."""
    old = s.agents[g + AG_INVENTORY + item]
    new = max(0, old + delta)
    group = t[t[S_GROUP_OF] + item]
    if group < 0 or new > t[t[S_GROUP] + group * GROUP_COLUMNS + GR_FLOOR]:
        new = min(new, capacity(t, s, g, item))
    change = new - old
    if change == 0:
        return 0
    s.agents[g + AG_INVENTORY + item] = new
    if change > 0:
        if old == 0:
            hold_item(t, s, g, item)
        s.agents[counter(t, g, item) + GAINED] += change
        return change
    _lose(t, s, g, item, -change)
    enough = t[t[S_SUFFICIENT] + item]
    if enough and (new < enough or s.agents[g + AG_OVERFULL]):
        _enforce(t, s, g)
    return change


@rule
def team_update(t, s, m, item, delta):
    """Add `delta` to a team's inventory within 0 and its limit; returns the change that came about."""
    resources = t[T_RESOURCES]
    old = s.teams[m + item]
    cap = MOST
    if t[t[S_TEAM_LIMITED] + item]:
        cap = t[T_ELEMENT_LIMIT] + old
        for other in range(resources):
            if t[t[S_TEAM_LIMITED] + other]:
                cap -= s.teams[m + other]
    new = max(0, min(old + delta, max(old, cap) if delta <= 0 else max(0, cap)))
    change = new - old
    s.teams[m + item] = new
    if change > 0:
        s.teams[m + resources + item] += change
    else:
        s.teams[m + 2 * resources + item] -= change
    return change


@rule
def team_room(t, s, m, item):
    """How much more of `item` the team can store."""
    if not t[t[S_TEAM_LIMITED] + item]:
        return MOST - s.teams[m + item]
    room = t[T_ELEMENT_LIMIT]
    for other in range(t[T_RESOURCES]):
        if t[t[S_TEAM_LIMITED] + other]:
            room -= s.teams[m + other]
    return max(0, room)
