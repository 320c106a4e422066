"""Inventories of cogs and teams: limits, saturating writes, enforcement (rules 1.2, 1.3)."""

from metta.game.compiled import rule
from metta.game.engine.layout import (
    AG_INVENTORY, GR_MAX, GR_MEMBER, GR_MEMBERS, GR_MIN, GR_MODIFIER, GR_MODIFIERS, GROUP_COLUMNS, MODIFIER_COLUMNS,
    S_GROUP, S_GROUP_OF, S_IS_MODIFIER, S_MEMBER, S_MODIFIER, S_TEAM_LIMITED, ST_DEATH, ST_GAINED, T_ADD_BONUSES,
    T_ELEMENT_LIMIT, T_GROUPS, T_HELD, T_HP, T_RESOURCES, T_STATS,
)  # fmt: skip

MOST = 65535  # quantities are 16-bit in the rules


@rule
def limit_of(t, s, e, a, group):
    """Present capacity of a limit group: max(min, bonuses), at most max."""
    g = t[S_GROUP] + group * GROUP_COLUMNS
    m = t[S_MODIFIER] + t[g + GR_MODIFIER] * MODIFIER_COLUMNS
    bonus = 0
    for k in range(t[g + GR_MODIFIERS]):
        bonus += t[m + 2 * k + 1] * s.agents[e, a, AG_INVENTORY + t[m + 2 * k]]
    base = t[g + GR_MIN]
    value = base + bonus if t[T_ADD_BONUSES] else max(base, bonus)
    return max(0, min(value, t[g + GR_MAX], MOST))


@rule
def capacity(t, s, e, a, item):
    """Most that the cog may hold of `item`, given the other items of its group."""
    group = t[t[S_GROUP_OF] + item]
    if group < 0:
        return MOST
    cap = limit_of(t, s, e, a, group)
    g = t[S_GROUP] + group * GROUP_COLUMNS
    count = t[g + GR_MEMBERS]
    if count > 1:
        first = t[S_MEMBER] + t[g + GR_MEMBER]
        for k in range(count):
            if t[first + k] != item:
                cap -= s.agents[e, a, AG_INVENTORY + t[first + k]]
    return max(0, cap)


@rule
def hold_item(t, s, e, a, item):
    """Put an item that was absent in front of the list of items held: observations show them in this order."""
    held = t[T_HELD]
    count = s.agents[e, a, held]
    for k in range(count, 0, -1):
        s.agents[e, a, held + k + 1] = s.agents[e, a, held + k]
    s.agents[e, a, held + 1] = item
    s.agents[e, a, held] = count + 1


@rule
def _drop_item(t, s, e, a, item):
    """Take an item out of the list of items held."""
    held = t[T_HELD]
    count = s.agents[e, a, held]
    k = 1
    while k <= count and s.agents[e, a, held + k] != item:
        k += 1
    for later in range(k, count):
        s.agents[e, a, held + later] = s.agents[e, a, held + later + 1]
    s.agents[e, a, held] = count - 1


@rule
def _lose(t, s, e, a, item, amount):
    """Count a loss and, when it empties hp, a death."""
    if s.agents[e, a, AG_INVENTORY + item] == 0:
        _drop_item(t, s, e, a, item)
    s.agents[e, a, t[T_STATS] + ST_GAINED + t[T_RESOURCES] + item] += amount
    if item == t[T_HP] and s.agents[e, a, AG_INVENTORY + item] == 0:
        s.agents[e, a, t[T_STATS] + ST_DEATH] += 1


@rule
def _enforce(t, s, e, a):
    """Drop what exceeds a limit, until no group does: a dropped modifier lowers other limits."""
    changed = True
    while changed:
        changed = False
        for group in range(t[T_GROUPS]):
            g = t[S_GROUP] + group * GROUP_COLUMNS
            first = t[S_MEMBER] + t[g + GR_MEMBER]
            held = 0
            for k in range(t[g + GR_MEMBERS]):
                held += s.agents[e, a, AG_INVENTORY + t[first + k]]
            if held == 0:
                continue
            excess = held - limit_of(t, s, e, a, group)
            for k in range(t[g + GR_MEMBERS]):
                item = t[first + k]
                drop = min(excess, s.agents[e, a, AG_INVENTORY + item])
                if drop > 0:
                    s.agents[e, a, AG_INVENTORY + item] -= drop
                    _lose(t, s, e, a, item, drop)
                    excess -= drop
                    changed = True


@rule
def update(t, s, e, a, item, delta):
    """Add `delta` to an item of a cog within 0 and its capacity; returns the change that came about."""
    old = s.agents[e, a, AG_INVENTORY + item]
    new = max(0, min(old + delta, capacity(t, s, e, a, item)))
    change = new - old
    if change == 0:
        return 0
    s.agents[e, a, AG_INVENTORY + item] = new
    if change > 0:
        if old == 0:
            hold_item(t, s, e, a, item)
        s.agents[e, a, t[T_STATS] + ST_GAINED + item] += change
        return change
    _lose(t, s, e, a, item, -change)
    if t[t[S_IS_MODIFIER] + item]:
        _enforce(t, s, e, a)
    return change


@rule
def team_update(t, s, e, team, item, delta):
    """Add `delta` to a team's inventory within 0 and its limit; returns the change that came about."""
    resources = t[T_RESOURCES]
    old = s.teams[e, team, item]
    cap = MOST
    if t[t[S_TEAM_LIMITED] + item]:
        cap = t[T_ELEMENT_LIMIT] + old
        for other in range(resources):
            if t[t[S_TEAM_LIMITED] + other]:
                cap -= s.teams[e, team, other]
    new = max(0, min(old + delta, max(old, cap) if delta < 0 else max(0, cap)))
    change = new - old
    s.teams[e, team, item] = new
    if change > 0:
        s.teams[e, team, resources + item] += change
    else:
        s.teams[e, team, 2 * resources + item] -= change
    return change


@rule
def team_room(t, s, e, team, item):
    """How much more of `item` the team can store."""
    if not t[t[S_TEAM_LIMITED] + item]:
        return MOST - s.teams[e, team, item]
    room = t[T_ELEMENT_LIMIT]
    for other in range(t[T_RESOURCES]):
        if t[t[S_TEAM_LIMITED] + other]:
            room -= s.teams[e, team, other]
    return max(0, room)
