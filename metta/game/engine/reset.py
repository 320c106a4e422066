"""Starting an episode: a map of the pool becomes cells, objects, agents and areas (rules 1.2, 1.3, 9.1)."""

import numpy as np

from metta.game.compiled import entry, part, rule
from metta.game.engine.grid import cell_at, occupy, vacate
from metta.game.engine.inventory import hold_item, update
from metta.game.engine.layout import (
    AG_CELL,
    AG_COL,
    AG_INVENTORY,
    AG_LAST_CELL,
    AG_ORDER,
    AG_OVERFULL,
    AG_ROW,
    AG_SPAWN_COL,
    AG_SPAWN_ROW,
    AG_TEAM,
    AG_VIBE,
    AGENT_COLLECTIVE,
    AGENT_GROUP,
    AGENT_STOCK,
    AGENT_VIBE,
    BLOCK_COUNT,
    CELL_FIRST,
    CELL_VOID,
    CELL_WALL,
    EN_EPISODE,
    EN_LIMIT,
    EN_MAP,
    EN_OBJECTS,
    F_TAG,
    KI_OWNER,
    KI_STOCK,
    KIND_COLUMNS,
    OB_CELL,
    OB_COL,
    OB_KIND,
    OB_OWNER,
    OB_ROW,
    OB_STOCK,
    PAD,
    S_AGENT,
    S_CELL_KIND,
    S_KIND,
    S_TEAM,
    T_AGENTS,
    T_BITS,
    T_CELLS,
    T_CODES,
    T_COLLECTIVES,
    T_CUT_INITIAL,
    T_FIRST_ENV,
    T_HEIGHT,
    T_MAX_STEPS,
    T_OBJECTS,
    T_RESOURCES,
    T_WALL_TAG,
    T_WIDTH,
)  # fmt: skip
from metta.game.engine.objects import NEUTRAL, count_member, encode, put_byte, put_token, set_owner
from metta.game.engine.random import mix, random_below
from metta.game.engine.rows import agent_row, block_row, env_row, float_row, object_row, team_row
from metta.game.maps.cells import AGENT, EMPTY, KIND_MASK, TEAM_SHIFT, WALL

AGENT_TYPE = 0  # agents are the first object type
MAP_STRIDE = np.uint64(0xD1B54A32D192ED02)


@entry
def choose_map(number, episode, pool, key):
    """Map of an environment's next episode: its own number first, then by hash of key, number and episode.

    The keys of one seed are consecutive; the stride keeps an environment's next maps from being its neighbour's.
    """
    if episode == 0:
        return number % pool
    return np.int64(mix(key + np.uint64(number) * MAP_STRIDE + np.uint64(episode)) % np.uint64(pool))


@part
def _clear(t, s, e):
    """Forget the episode before; the number of episodes stays."""
    agents, collectives, cells = t[T_AGENTS], t[T_COLLECTIVES], t[T_CELLS]
    s.cells[e * cells : (e + 1) * cells] = CELL_VOID
    s.bits[e * t[T_BITS] : (e + 1) * t[T_BITS]] = 0
    s.cover[e * cells * collectives : (e + 1) * cells * collectives] = 0
    s.agents[agent_row(t, e, 0) : agent_row(t, e, agents)] = 0
    s.objects[object_row(t, e, 0) : object_row(t, e, t[T_OBJECTS])] = 0
    s.blocks[block_row(t, e, 0) : block_row(t, e, t[T_CODES])] = 0
    s.teams[team_row(t, e, 0) : team_row(t, e, collectives)] = 0
    s.floats[float_row(t, e, 0) : float_row(t, e, agents)] = 0
    episode = s.env[env_row(e) + EN_EPISODE]
    s.env[env_row(e) : env_row(e + 1)] = 0
    s.env[env_row(e) + EN_EPISODE] = episode


@part
def _place_agent(t, s, e, a, row, col):
    """Put agent `a` on its pad with its initial inventory."""
    resources = t[T_RESOURCES]
    fixed = t[S_AGENT] + a * (AGENT_STOCK + resources)
    g = agent_row(t, e, a)
    occupy(t, s, e, row, col, CELL_FIRST + a)
    s.agents[g + AG_CELL] = s.agents[g + AG_LAST_CELL] = cell_at(t, row, col)
    s.agents[g + AG_ROW] = s.agents[g + AG_SPAWN_ROW] = row
    s.agents[g + AG_COL] = s.agents[g + AG_SPAWN_COL] = col
    s.agents[g + AG_TEAM] = t[fixed + AGENT_COLLECTIVE]
    s.agents[g + AG_VIBE] = t[fixed + AGENT_VIBE]
    s.agents[g + AG_ORDER] = a
    s.agents[g + AG_OVERFULL] = 1  # the initial inventory ignores the limits
    for item in range(resources):
        s.agents[g + AG_INVENTORY + item] = t[fixed + AGENT_STOCK + item]
    for item in range(resources - 1, -1, -1):
        if s.agents[g + AG_INVENTORY + item]:
            hold_item(t, s, g, item)
    count_member(t, s, e, t[fixed + AGENT_COLLECTIVE], AGENT_TYPE, 1)


@part
def _place_object(t, s, e, code, row, col):
    """Put an object on the map, owned as its kind says."""
    o = s.env[env_row(e) + EN_OBJECTS]
    s.env[env_row(e) + EN_OBJECTS] += 1
    kind = t[t[S_CELL_KIND] + code]
    fixed = t[S_KIND] + kind * KIND_COLUMNS
    ob = object_row(t, e, o)
    occupy(t, s, e, row, col, CELL_FIRST + t[T_AGENTS] + o)
    s.objects[ob + OB_KIND] = kind
    s.objects[ob + OB_CELL] = cell_at(t, row, col)
    s.objects[ob + OB_ROW] = row
    s.objects[ob + OB_COL] = col
    s.objects[ob + OB_STOCK] = t[fixed + KI_STOCK]
    s.objects[ob + OB_OWNER] = NEUTRAL
    if t[fixed + KI_OWNER] == NEUTRAL:
        encode(t, s, e, ob)
    else:
        set_owner(t, s, e, ob, t[fixed + KI_OWNER])


@rule
def _next_agent(t, s, e, group):
    """First agent of the team that has no place yet; -1: none (cell 0 is void, never a place)."""
    for a in range(t[T_AGENTS]):
        fixed = t[S_AGENT] + a * (AGENT_STOCK + t[T_RESOURCES])
        if t[fixed + AGENT_GROUP] == group and s.agents[agent_row(t, e, a) + AG_CELL] == 0:
            return a
    return -1


@entry
def open_episode(t, s, e, episode, pool, key):
    """Note the number and map of an episode and seed its random numbers: all that differs between two episodes on
    one map. Returns the map."""
    chosen = choose_map(t[T_FIRST_ENV] + e, episode, pool, key)
    s.env[env_row(e) + EN_EPISODE] = episode + 1
    s.env[env_row(e) + EN_MAP] = chosen
    s.rng[e] = mix(mix(key) + np.uint64(episode))
    return chosen


@part
def _place(t, s, e, code, row, col):
    """Put what a map's cell says on the cell."""
    kind = code & KIND_MASK
    if kind == WALL:
        occupy(t, s, e, row, col, CELL_WALL)
        return
    vacate(t, s, e, row, col)
    if kind == AGENT:
        a = _next_agent(t, s, e, code >> TEAM_SHIFT)
        if a >= 0:
            _place_agent(t, s, e, a, row, col)
    elif kind != EMPTY:
        _place_object(t, s, e, code, row, col)


@part
def _encode_walls(t, s, e):
    """Write the blocks of the cells that are no object: a wall shows its tag, the others nothing."""
    wall = block_row(t, e, CELL_WALL)
    count = put_token(s, wall, 0, t[F_TAG], t[T_WALL_TAG])
    put_byte(s, wall, BLOCK_COUNT, count)


@part
def start_episode(t, maps, s, e, key):
    """Set environment `e`, whose key is `key` (see `random.environment_keys`), to step 0 of its next episode."""
    _clear(t, s, e)
    chosen = open_episode(t, s, e, s.env[env_row(e) + EN_EPISODE], maps.shape[0], key)
    s.env[env_row(e) + EN_LIMIT] = t[T_MAX_STEPS]
    for team in range(t[T_COLLECTIVES]):
        for item in range(t[T_RESOURCES]):
            s.teams[team_row(t, e, team) + item] = t[t[S_TEAM] + team * t[T_RESOURCES] + item]
    _encode_walls(t, s, e)
    for row in range(PAD, PAD + t[T_HEIGHT]):
        for col in range(PAD, PAD + t[T_WIDTH]):
            _place(t, s, e, maps[chosen, row - PAD, col - PAD], row, col)
    if t[T_CUT_INITIAL]:
        _cut_initial(t, s, e)


@part
def _cut_initial(t, s, e):
    """Cut the initial inventory to the limits (any write does)."""
    for a in range(t[T_AGENTS]):
        for item in range(t[T_RESOURCES]):
            update(t, s, agent_row(t, e, a), item, 0)


@entry
def draw_limit(t, s, e):
    """End the present episode at a uniformly random step, so that environments do not run in lockstep."""
    s.env[env_row(e) + EN_LIMIT] = 1 + random_below(s, e, t[T_MAX_STEPS])
