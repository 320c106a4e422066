"""What a step does to every cog by itself: upkeep and areas of effect (rules 2.5, 2.6, 5)."""

from metta.game.compiled import rule
from metta.game.engine.inventory import update
from metta.game.engine.layout import (
    AG_CELL, AG_INVENTORY, AG_TEAM, AREA_COLUMNS, S_AREA, S_TICK, T_AGENTS, T_AREA_ROWS, T_COLLECTIVES, T_RESOURCES,
    T_TICK_ROWS, T_TYPES, TEAM_BLOCKS, TICK_COLUMNS,
)  # fmt: skip


@rule
def tick(t, s, e):
    """Upkeep of all agents: hp and influence fall, energy grows by solar."""
    for a in range(t[T_AGENTS]):
        for k in range(t[T_TICK_ROWS]):
            row = t[S_TICK] + k * TICK_COLUMNS
            delta, factor = t[row + 1], t[row + 2]
            if factor >= 0:
                delta *= s.agents[e, a, AG_INVENTORY + factor]
            if delta != 0:
                update(t, s, e, a, t[row], delta)


@rule
def _apply_areas(t, s, e, a, friendly, enemy):
    """Effects of the covering areas: modifiers enemy first, then friendly; the others summed (rules 5)."""
    for k in range(t[T_AREA_ROWS]):
        row = t[S_AREA] + k * AREA_COLUMNS
        item, gain, loss = t[row], t[row + 1] * friendly, t[row + 2] * enemy
        if t[row + 3]:
            if loss != 0:
                update(t, s, e, a, item, loss)
            if gain != 0:
                update(t, s, e, a, item, gain)
        elif gain + loss != 0:
            update(t, s, e, a, item, gain + loss)


@rule
def areas(t, s, e):
    """Apply the areas that cover each agent's cell."""
    for a in range(t[T_AGENTS]):
        team, cell = s.agents[e, a, AG_TEAM], s.agents[e, a, AG_CELL]
        friendly, enemy = 0, 0
        for c in range(t[T_COLLECTIVES]):
            count = s.cover[e, cell, c]
            if c == team:
                friendly += count
            else:
                enemy += count
        if friendly or enemy:
            _apply_areas(t, s, e, a, friendly, enemy)


@rule
def hold(t, s, e):
    """Add the present members of each type to the collectives' held statistics."""
    types = t[T_TYPES]
    base = TEAM_BLOCKS * t[T_RESOURCES]
    for c in range(t[T_COLLECTIVES]):
        for k in range(types):
            s.teams[e, c, base + 3 * types + k] += s.teams[e, c, base + k]
