"""Scheduled events: clips and weather (rules 6)."""

from metta.game.compiled import part, rule
from metta.game.engine.inventory import update
from metta.game.engine.layout import (
    EFFECT_CLIPS,
    EFFECT_NEUTRAL,
    EFFECT_RESOURCE,
    EN_EVENT,
    EN_OBJECTS,
    EN_STEP,
    EV_AMOUNT,
    EV_COUNT,
    EV_EFFECT,
    EV_FALLBACK,
    EV_FILTER,
    EV_RADIUS,
    EV_TARGET,
    EVENT_COLUMNS,
    KI_TARGET,
    OB_COL,
    OB_OWNER,
    OB_ROW,
    S_EVENT,
    S_SCHEDULE,
    SCHEDULE_COLUMNS,
    T_AGENTS,
    T_CLIPS,
    T_EVENT_COUNT,
    TARGET_AGENTS,
    WHO_NEUTRAL,
    WHO_TEAMS,
)  # fmt: skip
from metta.game.engine.objects import NEUTRAL, kind_value, set_owner
from metta.game.engine.random import random_below
from metta.game.engine.rows import agent_row, env_row, object_row


@part
def _near_clips(t, s, e, ob, radius):
    """Is a clips-owned junction within `radius` (Euclidean) of the object at row `ob`?"""
    for o in range(s.env[env_row(e) + EN_OBJECTS]):
        other = object_row(t, e, o)
        if s.objects[other + OB_OWNER] == t[T_CLIPS] and kind_value(t, s, other, KI_TARGET):
            dr, dc = (
                s.objects[other + OB_ROW] - s.objects[ob + OB_ROW],
                s.objects[other + OB_COL] - s.objects[ob + OB_COL],
            )
            if dr * dr + dc * dc <= radius * radius:
                return True
    return False


@rule
def _is_target(t, s, e, ob, row):
    """Does the object at row `ob` pass the event's filters?"""
    if not kind_value(t, s, ob, KI_TARGET):
        return False
    owner = s.objects[ob + OB_OWNER]
    who = t[row + EV_FILTER]
    if who == WHO_NEUTRAL and owner != NEUTRAL:
        return False
    if who == WHO_TEAMS and (owner == NEUTRAL or owner == t[T_CLIPS]):
        return False
    radius = t[row + EV_RADIUS]
    return radius < 0 or _near_clips(t, s, e, ob, radius)


@part
def _strike(t, s, e, row):
    """Apply a junction event to EV_COUNT uniformly chosen targets; returns how many targets there were."""
    passing = 0
    for o in range(s.env[env_row(e) + EN_OBJECTS]):
        passing += _is_target(t, s, e, object_row(t, e, o), row)
    wanted, left = min(t[row + EV_COUNT], passing), passing
    effect = t[row + EV_EFFECT]
    o = 0
    while wanted > 0:  # selection sampling: each of the `left` targets is taken with probability wanted / left
        if _is_target(t, s, e, object_row(t, e, o), row):
            if random_below(s, e, left) < wanted:
                if effect == EFFECT_CLIPS:
                    set_owner(t, s, e, object_row(t, e, o), t[T_CLIPS])
                elif effect == EFFECT_NEUTRAL:
                    set_owner(t, s, e, object_row(t, e, o), NEUTRAL)
                wanted -= 1
            left -= 1
        o += 1
    return passing


@part
def _fire(t, s, e, event):
    """Run one event, and its fallback when it found no target."""
    while event >= 0:
        row = t[S_EVENT] + event * EVENT_COLUMNS
        if t[row + EV_TARGET] == TARGET_AGENTS:
            for a in range(t[T_AGENTS]):
                update(t, s, agent_row(t, e, a), t[row + EV_EFFECT] - EFFECT_RESOURCE, t[row + EV_AMOUNT])
            return
        if _strike(t, s, e, row) > 0:
            return
        event = t[row + EV_FALLBACK]


@part
def run_events(t, s, e):
    """Run the events that are due."""
    while s.env[env_row(e) + EN_EVENT] < t[T_EVENT_COUNT]:
        row = t[S_SCHEDULE] + s.env[env_row(e) + EN_EVENT] * SCHEDULE_COLUMNS
        if t[row] > s.env[env_row(e) + EN_STEP]:
            return
        s.env[env_row(e) + EN_EVENT] += 1
        _fire(t, s, e, t[row + 1])
