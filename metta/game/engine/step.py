"""One step of one environment, phase by phase (rules 2); between the two parts its observations are written.

The phases are functions of their own because a device runs them with different threads: `begin_step` with one per
environment, `live_agent` and `finish_agent` with one per agent.
"""

from metta.game.compiled import entry, part
from metta.game.engine.actions import act
from metta.game.engine.events import run_events
from metta.game.engine.layout import (
    AG_CELL,
    AG_MOVED,
    EN_ENDED,
    EN_LIMIT,
    EN_STEP,
    T_AGENTS,
    T_MAX_STEPS,
    T_TRUNCATE,
)  # fmt: skip
from metta.game.engine.reward import reward
from metta.game.engine.rows import agent_row, env_row
from metta.game.engine.upkeep import areas, hold, tick


@part
def begin_step(t, s, e, actions):
    """Count the step, run the events that are due, let the agents act one after the other."""
    s.env[env_row(e) + EN_STEP] += 1
    run_events(t, s, e)
    for a in range(t[T_AGENTS]):
        g = agent_row(t, e, a)
        s.agents[g + AG_MOVED] = s.agents[g + AG_CELL]
    act(t, s, e, actions)


@part
def live_agent(t, s, e, a):
    """What the step does to agent `a` by itself: whether it moved, upkeep, areas."""
    g = agent_row(t, e, a)
    s.agents[g + AG_MOVED] = s.agents[g + AG_CELL] != s.agents[g + AG_MOVED]
    tick(t, s, g)
    areas(t, s, e, g)


@entry
def has_ended(t, s, e):
    """Is this the last step of the episode?"""
    step = s.env[env_row(e) + EN_STEP]
    return step >= t[T_MAX_STEPS] or step >= s.env[env_row(e) + EN_LIMIT]


@part
def finish_agent(tables, s, e, a, rewards, terminals, truncations):
    """Write agent `a`'s reward and whether its episode ended."""
    t = tables.ints
    reward(t, tables.weights, s, e, a, rewards)
    terminal = s.env[env_row(e) + EN_STEP] >= t[T_MAX_STEPS] and not t[T_TRUNCATE]
    terminals[e * t[T_AGENTS] + a] = terminal
    truncations[e * t[T_AGENTS] + a] = has_ended(t, s, e) and not terminal


@part
def play(tables, s, e, actions):
    """The world's part of a step: events, actions, upkeep, areas, holdings."""
    t = tables.ints
    begin_step(t, s, e, actions)
    for a in range(t[T_AGENTS]):
        live_agent(t, s, e, a)
    hold(t, s, e)


@part
def finish(tables, s, e, rewards, terminals, truncations):
    """What follows the observations: rewards, and whether the episode has ended."""
    for a in range(tables.ints[T_AGENTS]):
        finish_agent(tables, s, e, a, rewards, terminals, truncations)
    s.env[env_row(e) + EN_ENDED] = has_ended(tables.ints, s, e)
