"""Rewards: the change of each entry's weighted, capped statistic (rules 7.1)."""

import math

import numpy as np

from metta.game.compiled import rule
from metta.game.engine.layout import (
    AG_TEAM, AGENT_ENTRIES, AGENT_ENTRY, AGENT_STOCK, ENTRY_COLUMNS, FL_ENTRY, FL_LAST_REWARD, FL_RETURN, S_AGENT,
    S_ENTRY, S_TEAM_LIMITED, SOURCE_AGENT, SOURCE_DEPOSIT, SOURCE_GAIN, SOURCE_TEAM, ST_GAINED, T_AGENTS, T_FLOOR_CAPS,
    T_RESOURCES, T_STATS,
)  # fmt: skip


@rule
def _diversity(t, s, e, a, first):
    """Sum over the elements of ln(1 + counter), counters starting at column `first`."""
    total = np.float32(0.0)
    for item in range(t[T_RESOURCES]):
        if t[t[S_TEAM_LIMITED] + item]:
            total += np.float32(math.log(1.0 + s.agents[e, a, first + item]))
    return total


@rule
def _statistic(t, s, e, a, row):
    """Present value of an entry's statistic."""
    source, column = t[row], t[row + 1]
    if source == SOURCE_AGENT:
        return np.float32(s.agents[e, a, column])
    if source == SOURCE_TEAM:
        return np.float32(s.teams[e, s.agents[e, a, AG_TEAM], column])
    gained = t[T_STATS] + ST_GAINED
    if source == SOURCE_GAIN:
        return _diversity(t, s, e, a, gained)
    if source == SOURCE_DEPOSIT:
        return _diversity(t, s, e, a, gained + 2 * t[T_RESOURCES])
    return np.float32(0.0)


@rule
def reward(t, weights, s, e, out):
    """Write the step's rewards to `out`, float32 [E, A], and add them to the episode returns."""
    for a in range(t[T_AGENTS]):
        row = t[S_AGENT] + a * (AGENT_STOCK + t[T_RESOURCES])
        first = t[row + AGENT_ENTRY]
        total = np.float32(0.0)
        for k in range(t[row + AGENT_ENTRIES]):
            statistic = _statistic(t, s, e, a, t[S_ENTRY] + (first + k) * ENTRY_COLUMNS)
            value = weights[first + k, 0] * statistic
            cap = weights[first + k, 1]
            if not math.isnan(cap):
                value = max(value, cap) if t[T_FLOOR_CAPS] and cap < 0 else min(value, cap)
            total += value - s.floats[e, a, FL_ENTRY + k]
            s.floats[e, a, FL_ENTRY + k] = value
        out[e, a] = total
        s.floats[e, a, FL_RETURN] += total
        s.floats[e, a, FL_LAST_REWARD] = total
