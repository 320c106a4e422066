"""Rewards: the change of each entry's weighted, capped statistic (rules 7.1)."""

import math

import numpy as np

from metta.game.compiled import part, rule
from metta.game.engine.inventory import counter
from metta.game.engine.layout import (
    AG_TEAM,
    AGENT_ENTRIES,
    AGENT_ENTRY,
    AGENT_STOCK,
    DEPOSITED,
    ENTRY_COLUMNS,
    FL_ENTRY,
    FL_LAST_REWARD,
    FL_RETURN,
    GAINED,
    S_AGENT,
    S_ENTRY,
    S_TEAM_LIMITED,
    SOURCE_AGENT,
    SOURCE_DEPOSIT,
    SOURCE_GAIN,
    SOURCE_TEAM,
    T_AGENTS,
    T_FLOOR_CAPS,
    T_RESOURCES,
)  # fmt: skip
from metta.game.engine.rows import agent_row, float_row, team_row


@rule
def _diversity(t, s, g, which):
    """Sum over the elements of ln(1 + counter), `which` counter of each."""
    total = np.float32(0.0)
    for item in range(t[T_RESOURCES]):
        if t[t[S_TEAM_LIMITED] + item]:
            total += np.float32(math.log(1.0 + s.agents[counter(t, g, item) + which]))
    return total


@part
def _statistic(t, s, e, g, row):
    """Present value of an entry's statistic."""
    source, column = t[row], t[row + 1]
    if source == SOURCE_AGENT:
        return np.float32(s.agents[g + column])
    if source == SOURCE_TEAM:
        return np.float32(s.teams[team_row(t, e, s.agents[g + AG_TEAM]) + column])
    if source == SOURCE_GAIN:
        return _diversity(t, s, g, GAINED)
    if source == SOURCE_DEPOSIT:
        return _diversity(t, s, g, DEPOSITED)
    return np.float32(0.0)


@part
def reward(t, weights, s, e, a, out):
    """Write the step's reward of agent `a` to `out`, float32 [E * A], and add it to the episode's return.

    The limit stands between the product and the difference, so that no compiler can fuse them (which rounds once
    instead of twice): an entry without a limit has an infinite one.
    """
    g, f = agent_row(t, e, a), float_row(t, e, a)
    row = t[S_AGENT] + a * (AGENT_STOCK + t[T_RESOURCES])
    first = t[row + AGENT_ENTRY]
    total = np.float32(0.0)
    for k in range(t[row + AGENT_ENTRIES]):
        statistic = _statistic(t, s, e, g, t[S_ENTRY] + (first + k) * ENTRY_COLUMNS)
        value, cap = weights[2 * (first + k)] * statistic, weights[2 * (first + k) + 1]
        value = max(value, cap) if t[T_FLOOR_CAPS] and cap < 0 else min(value, cap)
        total += value - s.floats[f + FL_ENTRY + k]
        s.floats[f + FL_ENTRY + k] = value
    out[e * t[T_AGENTS] + a] = total
    s.floats[f + FL_RETURN] += total
    s.floats[f + FL_LAST_REWARD] = total
