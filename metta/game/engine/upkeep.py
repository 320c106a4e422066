"""What a step does to every cog by itself: upkeep and areas of effect (rules 2.5, 2.6, 5)."""

from metta.game.compiled import part, rule
from metta.game.engine.inventory import update
from metta.game.engine.layout import (
    AG_CELL,
    AG_INVENTORY,
    AG_TEAM,
    AREA_COLUMNS,
    AT_ONCE,
    ONE_BY_ONE,
    S_AREA,
    S_TICK,
    T_AREA_ROWS,
    T_CELLS,
    T_COLLECTIVES,
    T_RESOURCES,
    T_TICK_ROWS,
    T_TYPES,
    TEAM_BLOCKS,
    TICK_COLUMNS,
)  # fmt: skip
from metta.game.engine.rows import team_row


@part
def tick(t, s, g):
    """Upkeep of the agent at row `g`: hp and influence fall, energy grows by solar."""
    for k in range(t[T_TICK_ROWS]):
        row = t[S_TICK] + k * TICK_COLUMNS
        delta, factor = t[row + 1], t[row + 2]
        if factor >= 0:
            delta *= s.agents[g + AG_INVENTORY + factor]
        if delta != 0:
            update(t, s, g, t[row], delta)


@rule
def _repeat(t, s, g, item, delta, times):
    """Add `delta` to an item `times` times; an addition that changes nothing ends it."""
    while times > 0 and delta != 0 and update(t, s, g, item, delta) != 0:
        times -= 1


@part
def _apply_areas(t, s, g, friendly, enemy):
    """Effects of the covering areas: modifiers one by one, enemy first; the others summed (rules 5).

    One by one differs from all at once only where an item raises its own limit.
    """
    for k in range(t[T_AREA_ROWS]):
        row = t[S_AREA] + k * AREA_COLUMNS
        item, gain, loss, how = t[row], t[row + 1] * friendly, t[row + 2] * enemy, t[row + 3]
        if how == ONE_BY_ONE:
            _repeat(t, s, g, item, t[row + 2], enemy)
            _repeat(t, s, g, item, t[row + 1], friendly)
        elif how == AT_ONCE and loss != 0 and gain != 0:
            update(t, s, g, item, loss)
            update(t, s, g, item, gain)
        elif gain + loss != 0:
            update(t, s, g, item, gain + loss)


@part
def areas(t, s, e, g):
    """Apply the areas that cover the cell of the agent at row `g`."""
    team = s.agents[g + AG_TEAM]
    cover = (e * t[T_CELLS] + s.agents[g + AG_CELL]) * t[T_COLLECTIVES]
    friendly, enemy = 0, 0
    for c in range(t[T_COLLECTIVES]):
        count = s.cover[cover + c]
        if c == team:
            friendly += count
        else:
            enemy += count
    if friendly or enemy:
        _apply_areas(t, s, g, friendly, enemy)


@part
def hold(t, s, e):
    """Add the present members of each type to the collectives' held statistics."""
    types = t[T_TYPES]
    for c in range(t[T_COLLECTIVES]):
        base = team_row(t, e, c) + TEAM_BLOCKS * t[T_RESOURCES]
        for k in range(types):
            s.teams[base + 3 * types + k] += s.teams[base + k]
