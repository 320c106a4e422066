"""One step of one environment, phase by phase (rules 2); between the two parts its observations are written."""

from metta.game.compiled import rule
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


@rule
def play(tables, s, e, actions):
    """The world's part of a step: events, actions, upkeep, areas, holdings."""
    t = tables.ints
    s.env[env_row(e) + EN_STEP] += 1
    run_events(t, s, e)
    for a in range(t[T_AGENTS]):
        g = agent_row(t, e, a)
        s.agents[g + AG_MOVED] = s.agents[g + AG_CELL]
    act(t, s, e, actions)
    for a in range(t[T_AGENTS]):
        g = agent_row(t, e, a)
        s.agents[g + AG_MOVED] = s.agents[g + AG_CELL] != s.agents[g + AG_MOVED]
    tick(t, s, e)
    areas(t, s, e)
    hold(t, s, e)


@rule
def finish(tables, s, e, rewards, terminals, truncations):
    """What follows the observations: rewards, and whether the episode has ended."""
    t = tables.ints
    reward(t, tables.weights, s, e, rewards)
    finished = s.env[env_row(e) + EN_STEP] >= t[T_MAX_STEPS]
    ended = finished or s.env[env_row(e) + EN_STEP] >= s.env[env_row(e) + EN_LIMIT]
    s.env[env_row(e) + EN_ENDED] = ended
    for a in range(t[T_AGENTS]):
        terminal = finished and not t[T_TRUNCATE]
        terminals[e * t[T_AGENTS] + a] = terminal
        truncations[e * t[T_AGENTS] + a] = ended and not terminal
