"""Primary actions and vibe actions of one environment (rules 2.4, 3)."""

from metta.game.compiled import part
from metta.game.engine.grid import cell_at, occupy, vacate
from metta.game.engine.inventory import update
from metta.game.engine.layout import (
    AG_CELL,
    AG_COL,
    AG_INVENTORY,
    AG_LAST_ACTION,
    AG_LAST_CELL,
    AG_ORDER,
    AG_ROW,
    AG_STILL,
    AG_SUCCESS,
    AG_VIBE,
    CELL_EMPTY,
    CELL_FIRST,
    CODE_MASK,
    COST_COLUMNS,
    S_COST,
    ST_FAILED,
    ST_INVALID,
    ST_MOVE,
    ST_MOVE_FAILED,
    ST_NOOP,
    ST_STILL_MAX,
    ST_VIBE,
    T_AGENTS,
    T_CELLS,
    T_COST_ROWS,
    T_FREE_IDLE_USE,
    T_NUM_ACTIONS,
    T_STATS,
)  # fmt: skip
from metta.game.engine.objects import use
from metta.game.engine.random import random_below
from metta.game.engine.rows import agent_row, object_row
from metta.game.resources import BOTH

NOOP, NORTH, SOUTH, WEST, EAST, FIRST_VIBE = range(6)


@part
def shuffle_agents(t, s, e):
    """Draw the order in which agents act this step (Fisher-Yates)."""
    agents = t[T_AGENTS]
    for a in range(agents):
        j = random_below(s, e, a + 1)
        here, there = agent_row(t, e, a) + AG_ORDER, agent_row(t, e, j) + AG_ORDER
        s.agents[here] = s.agents[there]
        s.agents[there] = a


@part
def _can_pay(t, s, g):
    for k in range(t[T_COST_ROWS]):
        row = t[S_COST] + k * COST_COLUMNS
        if s.agents[g + AG_INVENTORY + t[row]] < t[row + 1]:
            return False
    return True


@part
def _pay(t, s, g):
    for k in range(t[T_COST_ROWS]):
        row = t[S_COST] + k * COST_COLUMNS
        update(t, s, g, t[row], -t[row + 1])


@part
def _move(t, s, e, g, action):
    """Move to the neighbouring cell or use what stands there; returns success."""
    if not _can_pay(t, s, g):
        return False
    row_step = -1 if action == NORTH else (1 if action == SOUTH else 0)
    col_step = -1 if action == WEST else (1 if action == EAST else 0)
    row, col = s.agents[g + AG_ROW], s.agents[g + AG_COL]
    cells, there = e * t[T_CELLS], cell_at(t, row + row_step, col + col_step)
    code = s.cells[cells + there] & CODE_MASK
    if code == CELL_EMPTY:
        occupy(t, s, e, row + row_step, col + col_step, s.cells[cells + s.agents[g + AG_CELL]])
        vacate(t, s, e, row, col)
        s.agents[g + AG_CELL] = there
        s.agents[g + AG_ROW] += row_step
        s.agents[g + AG_COL] += col_step
    elif code < CELL_FIRST + t[T_AGENTS]:  # wall, edge of the map or another agent
        return False
    else:
        matched, changed = use(t, s, e, g, object_row(t, e, code - CELL_FIRST - t[T_AGENTS]))
        if not matched:
            return False
        if t[T_FREE_IDLE_USE] and not changed:
            return True
    _pay(t, s, g)
    return True


@part
def _count(t, s, g, action, success, stat):
    """Book an action that was handled: statistics, last action, steps without motion."""
    stats = t[T_STATS]
    s.agents[g + AG_SUCCESS] = success
    if success:
        s.agents[g + AG_LAST_ACTION] = action
        s.agents[g + stats + stat] += 1
    else:
        s.agents[g + stats + ST_MOVE_FAILED] += 1
        s.agents[g + stats + ST_FAILED] += 1
    if s.agents[g + AG_CELL] == s.agents[g + AG_LAST_CELL]:
        s.agents[g + AG_STILL] += 1
        still = s.agents[g + AG_STILL]
        s.agents[g + stats + ST_STILL_MAX] = max(s.agents[g + stats + ST_STILL_MAX], still)
    else:
        s.agents[g + AG_STILL] = 0
    s.agents[g + AG_LAST_CELL] = s.agents[g + AG_CELL]


@part
def _move_of(t, action):
    """The primary action of a flat one, -1 for one that the mission does not have."""
    if action >= BOTH:
        move, vibe = (action - BOTH) & 7, (action - BOTH) >> 3
        return move if move < FIRST_VIBE and FIRST_VIBE + vibe < t[T_NUM_ACTIONS] else -1
    if action < 0 or action >= t[T_NUM_ACTIONS]:
        return -1
    return action if action < FIRST_VIBE else NOOP


@part
def _vibe_of(t, action):
    """The vibe that a flat action changes to, -1 for none."""
    if action < FIRST_VIBE or _move_of(t, action) < 0:
        return -1
    return (action - BOTH) >> 3 if action >= BOTH else action - FIRST_VIBE


@part
def act(t, s, e, actions):
    """All agents act in random order: first the primary actions, then the vibes; beside a vibe alone stands a noop.

    A flat action outside the mission's is counted as invalid and does nothing else.
    """
    shuffle_agents(t, s, e)
    for k in range(t[T_AGENTS]):
        a = s.agents[agent_row(t, e, k) + AG_ORDER]
        g = agent_row(t, e, a)
        move = _move_of(t, actions[e * t[T_AGENTS] + a])
        s.agents[g + AG_LAST_ACTION] = 0
        s.agents[g + AG_SUCCESS] = 0
        if move < 0:
            s.agents[g + t[T_STATS] + ST_INVALID] += 1
        elif move == NOOP:
            _count(t, s, g, NOOP, True, ST_NOOP)
        else:
            _count(t, s, g, move, _move(t, s, e, g, move), ST_MOVE)
    for k in range(t[T_AGENTS]):
        a = s.agents[agent_row(t, e, k) + AG_ORDER]
        g = agent_row(t, e, a)
        vibe = _vibe_of(t, actions[e * t[T_AGENTS] + a])
        if vibe >= 0:
            s.agents[g + AG_VIBE] = vibe
            _count(t, s, g, FIRST_VIBE + vibe, True, ST_VIBE)
