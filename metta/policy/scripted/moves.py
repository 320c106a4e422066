"""From a task to this step's action: following the way, waiting for energy, making room (rules 3.1, 11.1, 11.2)."""

import numpy as np

from metta.policy.scripted.compiled import kernel
from metta.policy.scripted.decode import mark
from metta.policy.scripted.layout import (
    AG_AT,
    AG_BEFORE,
    AG_CELL,
    AG_DIRECTION,
    AG_ENERGY,
    AG_FRAMED,
    AG_FROM,
    AG_HEART,
    AG_ITEM,
    AG_LAST,
    AG_LENGTH,
    AG_MIND,
    AG_MOST,
    AG_NEXT,
    AG_ROLE,
    AG_STUCK,
    AG_TASK,
    AG_VIBE,
    AG_WAITED,
    FREE,
    HUB_CELL,
    IDLE,
    LOAD,
    NONE,
    PL_VIBES,
    STEPS,
    THING,
    UNKNOWN,
)  # fmt: skip
from metta.policy.scripted.needs import MOVE_COST
from metta.policy.scripted.tasks import choose, give_up, is_valid, must_flee

STAY, LEAVING, ARRIVING = 1, 2, 3
REFUSED = 3  # bumps into the hub without a heart after which an agent counts as full
PATIENCE = 2  # steps before an agent in the way is walked around


@kernel
def draw(s, g, below):
    """A random number of the agent's own (SplitMix64: Steele, Lea, Flood, 2014)."""
    s.rng[g] += np.uint64(0x9E3779B97F4A7C15)
    z = s.rng[g]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((z ^ (z >> np.uint64(31))) % np.uint64(below))


@kernel
def note_progress(s, g):
    """Compare with what the last action was to do: advance on the way, or count a failure.

    Who is found elsewhere followed another's advice, as a student does: its way is looked for anew.
    """
    held = 0
    for item in range(1, 13):
        if item != 2 and item != 3 and item != 4:  # hp, influence and sun change by themselves
            held += s.agents[g, AG_ITEM + item] * (item + 1)
    moved = s.agents[g, AG_NEXT] == s.agents[g, AG_CELL]
    if moved and s.agents[g, AG_AT] < s.agents[g, AG_LENGTH]:
        s.agents[g, AG_AT] += 1
    strayed = not moved and s.agents[g, AG_CELL] != s.agents[g, AG_FROM]
    if strayed:
        s.agents[g, AG_LENGTH] = s.agents[g, AG_AT] = 0
    if moved or strayed or held != s.agents[g, AG_BEFORE]:
        s.agents[g, AG_STUCK] = 0
    elif s.agents[g, AG_NEXT] >= 0:
        s.agents[g, AG_STUCK] += 1
        if s.agents[g, AG_TASK] == LOAD and s.agents[g, AG_NEXT] == HUB_CELL and s.agents[g, AG_STUCK] >= REFUSED:
            s.agents[g, AG_MOST] = s.agents[g, AG_HEART]
    s.agents[g, AG_BEFORE] = held
    s.agents[g, AG_NEXT] = -1
    s.agents[g, AG_FROM] = s.agents[g, AG_CELL]


@kernel
def _wander(s, g):
    """The action of an agent that does not know where it is: straight on, another way after a failure."""
    if s.agents[g, AG_LAST] == 0 or draw(s, g, 16) == 0:
        s.agents[g, AG_DIRECTION] = 1 + draw(s, g, 4)
    return s.agents[g, AG_DIRECTION]


@kernel
def _sidestep(s, g):
    """A random free neighbour's direction, or 0."""
    m, first = s.agents[g, AG_MIND], draw(s, g, 4)
    for k in range(4):
        move = 1 + (first + k) % 4
        cell = s.agents[g, AG_CELL] + STEPS[move]
        if s.at[m, cell] == FREE and s.busy[m, cell] == 0:
            return move
    return 0


@kernel
def _step_to(s, g, move):
    """Announce a move to a neighbouring cell, so that the others plan with it."""
    m, cell = s.agents[g, AG_MIND], s.agents[g, AG_CELL]
    s.agents[g, AG_NEXT] = cell + STEPS[move]
    if s.at[m, cell + STEPS[move]] < THING:
        mark(s, m, cell, LEAVING)
        mark(s, m, cell + STEPS[move], ARRIVING)
    return move


@kernel
def _follow(t, s, members, g):
    """The next move of the way; an agent that stands there is waited for, then walked around."""
    m = s.agents[g, AG_MIND]
    for attempt in range(2):
        if s.agents[g, AG_TASK] == IDLE or s.agents[g, AG_AT] >= s.agents[g, AG_LENGTH]:
            return 0
        move = np.int64(s.paths[g, s.agents[g, AG_AT]])
        cell = s.agents[g, AG_CELL] + STEPS[move]
        code = s.at[m, cell]
        if code >= THING and s.agents[g, AG_AT] == s.agents[g, AG_LENGTH] - 1:
            return _step_to(s, g, move)
        if code in (FREE, UNKNOWN):
            if s.busy[m, cell] == 0 or s.busy[m, cell] == LEAVING:
                s.agents[g, AG_WAITED] = 0
                return _step_to(s, g, move)
            s.agents[g, AG_WAITED] += 1
            if s.agents[g, AG_WAITED] > 3 * PATIENCE and draw(s, g, 2) == 0:
                s.agents[g, AG_LENGTH] = 0
                s.agents[g, AG_WAITED] = 0
                return _step_to(s, g, _sidestep(s, g))
            if s.agents[g, AG_WAITED] < PATIENCE:
                return 0
        if attempt == 0:
            choose(t, s, members, g)
    return 0


@kernel
def act(t, s, members, g):
    """This step's flat action of one agent."""
    if s.agents[g, AG_FRAMED] == 0:
        return _wander(s, g)
    role = s.agents[g, AG_ROLE]
    shown = t.vibe_action[role]
    if t.plan[PL_VIBES] and role != NONE and shown >= 0 and s.agents[g, AG_VIBE] != t.vibe[role]:
        return shown
    arrived = s.agents[g, AG_AT] >= s.agents[g, AG_LENGTH]
    if s.agents[g, AG_STUCK] >= 6:
        give_up(s, g)
        choose(t, s, members, g)
    elif not is_valid(t, s, g) or (arrived and s.agents[g, AG_TASK] != IDLE) or must_flee(s, g):
        choose(t, s, members, g)
    if s.agents[g, AG_ENERGY] < MOVE_COST:
        return 0
    return _follow(t, s, members, g)
