"""Launchers for the CPU: many environments, one after the other, on the thread that calls."""

import numpy as np

from metta.game.compiled import rule
from metta.game.engine.observe import observe
from metta.game.engine.prefetch import prefetch_agents, prefetch_windows
from metta.game.engine.reset import draw_limit, start_episode
from metta.game.engine.step import step_environment

AGENTS_AHEAD, WINDOWS_AHEAD = 2, 1  # environments; a window is known once its agent's row has arrived


@rule
def step_range(tables, s, start, stop, actions, observations, rewards, terminals, truncations):
    """Step environments start..stop-1."""
    for e in range(start, stop):
        if e + AGENTS_AHEAD < stop:
            prefetch_agents(tables.ints, s, e + AGENTS_AHEAD)
        if e + WINDOWS_AHEAD < stop:
            prefetch_windows(tables.ints, s, e + WINDOWS_AHEAD, observations)
        step_environment(tables, s, e, actions, observations, rewards, terminals, truncations)


@rule
def reset_some(tables, s, which, seed, desync, observations):
    """Start the next episode of the listed environments and write their first observations."""
    for i in range(which.size):
        e = which[i]
        start_episode(tables.ints, tables.maps, s, e, np.uint64(seed))
        if desync:
            draw_limit(tables.ints, s, e)
        observe(tables.ints, s, e, observations)
