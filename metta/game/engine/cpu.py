"""Launchers for the CPU: many environments, one after the other, on the thread that calls."""

from metta.game.compiled import entry
from metta.game.engine.layout import T_AGENTS
from metta.game.engine.observe import encode_agents, observe, observe_agent
from metta.game.engine.prefetch import prefetch_observation, prefetch_rows, prefetch_window
from metta.game.engine.reset import draw_limit, start_episode
from metta.game.engine.step import finish, play

ROWS_AHEAD, WINDOWS_AHEAD = 2, 1  # environments; a window is known once its agent's row has arrived
OBSERVATIONS_AHEAD = 2  # agents: what lies ready too early takes the place of something else in a small cache


@entry
def step_range(tables, s, start, stop, slot, actions, observations, rewards, terminals, truncations):
    """Step environments start..stop-1 with one slot of scratch."""
    agents = tables.ints[T_AGENTS]
    for e in range(start, stop):
        play(tables, s, e, actions)
        encode_agents(tables.ints, s, e, slot)
        for a in range(agents):
            if e + ROWS_AHEAD < stop:
                prefetch_rows(tables.ints, s, e + ROWS_AHEAD, a)
            if e + WINDOWS_AHEAD < stop:
                prefetch_window(tables.ints, s, e + WINDOWS_AHEAD, a)
            if e * agents + a + OBSERVATIONS_AHEAD < stop * agents:
                prefetch_observation(e * agents + a + OBSERVATIONS_AHEAD, observations)
            observe_agent(tables, s, e, slot, a, observations)
        finish(tables, s, e, rewards, terminals, truncations)


@entry
def reset_some(tables, s, which, keys, desync, slot, observations):
    """Start the next episode of the listed environments and write their first observations, using one scratch slot.

    `keys` uint64 [E] are those of all environments.
    """
    for i in range(which.size):
        e = which[i]
        start_episode(tables.ints, tables.maps, s, e, keys[e])
        if desync:
            draw_limit(tables.ints, s, e)
        observe(tables, s, e, slot, observations)
