"""Writing observations: global tokens, then the window's cells from the centre outward (rules 8).

A token is three bytes: location, feature, value. Byte positions are unsigned: that spares the check for a negative
index on every store.
"""

import numpy as np

from metta.game.compiled import rule
from metta.game.engine.layout import (
    AG_CELL,
    AG_COL,
    AG_INVENTORY,
    AG_LAST_ACTION,
    AG_MOVED,
    AG_ROW,
    AG_SPAWN_COL,
    AG_SPAWN_ROW,
    AG_TEAM,
    AG_TOKENS,
    AG_VIBE,
    AGENT_GROUP,
    AGENT_STOCK,
    AGENT_TAG,
    CELL_EMPTY,
    CELL_FIRST,
    CELL_VOID,
    CELL_WALL,
    CODE_MASK,
    EN_DROPPED,
    EN_OBJECTS,
    EN_OBSERVATIONS,
    EN_STEP,
    EN_WRITTEN,
    F_AGENT_ID,
    F_AOE,
    F_COLLECTIVE,
    F_COMPLETION,
    F_EAST,
    F_FROZEN,
    F_GROUP,
    F_LAST_ACTION,
    F_LAST_REWARD,
    F_MOVED,
    F_NORTH,
    F_SOUTH,
    F_TAG,
    F_VIBE,
    F_WEST,
    FL_LAST_REWARD,
    GLOBAL_LOCATION,
    KI_SOURCE,
    OB_CELL,
    OB_OWNER,
    OB_TOKEN,
    OB_TOKENS,
    S_AGENT,
    S_OFFSET,
    S_OWN_TOKEN,
    S_TEAM_TOKEN,
    SEEN_SHIFT,
    ST_VISITED,
    T_AGENT_TAG,
    T_AGENTS,
    T_AOE_VISIBLE,
    T_BLOCK,
    T_CELLS,
    T_COLLECTIVES,
    T_HELD,
    T_INVENTORY_FEATURE,
    T_MAX_STEPS,
    T_OWN_TOKENS,
    T_RESOURCES,
    T_REWARD_VISIBLE,
    T_STATS,
    T_STRIDE,
    T_TEAM_TOKENS,
    T_WALL_TAG,
    T_WINDOW_SIZE,
    TOKEN_BYTES,
    TOKENS,
    WINDOW,
)  # fmt: skip
from metta.game.engine.objects import NEUTRAL, kind_value
from metta.game.engine.rows import agent_row, env_row, float_row, object_row, team_row

FRIENDLY, ENEMY = 1, 2
ONE, TWO, THREE = np.uint64(1), np.uint64(2), np.uint64(TOKEN_BYTES)
SCRATCH = WINDOW * WINDOW + 1


@rule
def put(out, p, location, feature, value):
    """Write a token at byte `p`; returns the next position."""
    out[p] = location
    out[p + ONE] = feature
    out[p + TWO] = value
    return p + THREE


@rule
def put_amount(out, p, location, feature, amount):
    """Write an amount in base 256: the second token only when needed."""
    p = put(out, p, location, feature, amount & 255)
    if amount > 255:
        p = put(out, p, location, feature + 1, amount >> 8)
    return p


@rule
def put_block(out, p, end, location, tokens, first, count):
    """Write `count` packed tokens (feature | value << 8), as many as fit before `end`."""
    stop = min(end, p + np.uint64(count) * THREE)
    while p < stop:
        token = tokens[first]
        p = put(out, p, location, token & 255, token >> 8)
        first += 1
    return p


@rule
def encode_agent(t, s, e, a):
    """Write the tokens by which others see agent `a` to its block (feature | value << 8)."""
    g = agent_row(t, e, a)
    block = g + t[T_BLOCK]
    row = t[S_AGENT] + a * (AGENT_STOCK + t[T_RESOURCES])
    s.agents[block] = t[F_COLLECTIVE] | s.agents[g + AG_TEAM] << 8
    s.agents[block + 1] = t[F_TAG] | t[row + AGENT_TAG] << 8
    s.agents[block + 2] = t[F_TAG] | t[T_AGENT_TAG] << 8
    n = block + 3
    if s.agents[g + AG_VIBE]:
        s.agents[n] = t[F_VIBE] | s.agents[g + AG_VIBE] << 8
        n += 1
    held, first_feature = g + t[T_HELD], t[T_INVENTORY_FEATURE]
    for k in range(held + 1, held + 1 + s.agents[held]):
        item = s.agents[k]
        amount = s.agents[g + AG_INVENTORY + item]
        feature = first_feature + 2 * item
        s.agents[n] = feature | (amount & 255) << 8
        n += 1
        if amount > 255:
            s.agents[n] = (feature + 1) | (amount >> 8) << 8
            n += 1
    s.agents[n] = t[F_GROUP] | t[row + AGENT_GROUP] << 8
    s.agents[n + 1] = t[F_FROZEN]
    s.agents[n + 2] = t[F_AGENT_ID] | a << 8
    s.agents[g + AG_TOKENS] = n + 3 - block


@rule
def _put_global(t, s, e, a, out, p):
    """Tokens about the episode, the last action, the way from the spawn cell and the team; returns the position."""
    g, at = agent_row(t, e, a), GLOBAL_LOCATION
    step, last = s.env[env_row(e) + EN_STEP], t[T_MAX_STEPS]
    p = put(out, p, at, t[F_COMPLETION], 255 if step >= last else (256 * step) // last)
    p = put(out, p, at, t[F_LAST_ACTION], s.agents[g + AG_LAST_ACTION])
    p = put(out, p, at, t[F_MOVED], s.agents[g + AG_MOVED])
    reward = 0
    if t[T_REWARD_VISIBLE]:
        reward = max(0, min(255, round(100 * s.floats[float_row(t, e, a) + FL_LAST_REWARD])))
    p = put(out, p, at, t[F_LAST_REWARD], reward)
    east = s.agents[g + AG_COL] - s.agents[g + AG_SPAWN_COL]
    south = s.agents[g + AG_ROW] - s.agents[g + AG_SPAWN_ROW]
    if east != 0:
        p = put(out, p, at, t[F_EAST] if east > 0 else t[F_WEST], min(255, abs(east)))
    if south != 0:
        p = put(out, p, at, t[F_SOUTH] if south > 0 else t[F_NORTH], min(255, abs(south)))
    team = team_row(t, e, s.agents[g + AG_TEAM])
    for k in range(t[T_TEAM_TOKENS]):
        row = t[S_TEAM_TOKEN] + 2 * k
        p = put_amount(out, p, at, t[row + 1], s.teams[team + t[row]])
    for k in range(t[T_OWN_TOKENS]):
        row = t[S_OWN_TOKEN] + 2 * k
        p = put_amount(out, p, at, t[row + 1], s.agents[g + AG_INVENTORY + t[row]])
    return p


@rule
def _nearest_owner(t, s, e, cell):
    """Owner of the area source nearest to `cell`; NEUTRAL for a tie between collectives."""
    stride = t[T_STRIDE]
    best, owner = 1 << 30, NEUTRAL
    for o in range(s.env[env_row(e) + EN_OBJECTS]):
        ob = object_row(t, e, o)
        held = s.objects[ob + OB_OWNER]
        if held != NEUTRAL and kind_value(t, s, ob, KI_SOURCE):
            at = s.objects[ob + OB_CELL]
            dr, dc = at // stride - cell // stride, at % stride - cell % stride
            distance = dr * dr + dc * dc
            if distance < best:
                best, owner = distance, held
            elif distance == best and held != owner:
                owner = NEUTRAL
    return owner


@rule
def _territory(t, s, e, team, cell):
    """Value of the aoe_mask token of a cell: FRIENDLY, ENEMY or 0."""
    friendly, enemy = 0, 0
    cover = (e * t[T_CELLS] + cell) * t[T_COLLECTIVES]
    for c in range(t[T_COLLECTIVES]):
        if c == team:
            friendly += s.cover[cover + c]
        else:
            enemy += s.cover[cover + c]
    if friendly and enemy:
        owner = _nearest_owner(t, s, e, cell)
        if owner == NEUTRAL:
            return 0
        return FRIENDLY if owner == team else ENEMY
    return FRIENDLY if friendly else (ENEMY if enemy else 0)


@rule
def _occupied(t, s, e, center):
    """List the window's cells to look at in `scratch`, in window order; returns their number."""
    offsets, base = t[S_OFFSET], e * SCRATCH
    everything = t[T_AOE_VISIBLE] != 0
    n = base
    for k in range(t[T_WINDOW_SIZE]):
        s.scratch[n] = k
        n += everything or (s.cells[center + t[offsets + 2 * k]] & CODE_MASK) != CELL_EMPTY
    return n - base


@rule
def observe_agent(t, s, e, a, out):
    """Write agent `a`'s observation, 0xFF behind its last token; counts tokens and cell.visited."""
    g, agents = agent_row(t, e, a), t[T_AGENTS]
    base = np.uint64((e * agents + a) * TOKENS) * THREE
    end = base + np.uint64(TOKENS) * THREE
    p = _put_global(t, s, e, a, out, base)
    first_cell = e * t[T_CELLS]
    center = first_cell + s.agents[g + AG_CELL]
    step, offsets, wall, wall_tag = s.env[env_row(e) + EN_STEP], t[S_OFFSET], t[F_TAG], t[T_WALL_TAG]
    visited, dropped = 0, 0
    for i in range(e * SCRATCH, e * SCRATCH + _occupied(t, s, e, center)):
        k = offsets + 2 * s.scratch[i]
        cell, location = center + t[k], t[k + 1]
        word = s.cells[cell]
        code = word & CODE_MASK
        if t[T_AOE_VISIBLE] and code != CELL_VOID:
            mask = _territory(t, s, e, s.agents[g + AG_TEAM], cell - first_cell)
            if mask and p < end:
                p = put(out, p, location, t[F_AOE], mask)
            elif mask:
                dropped += 1
        if code == CELL_WALL:
            if p < end:
                p = put(out, p, location, wall, wall_tag)
            else:
                dropped += 1
        elif code < CELL_FIRST:
            continue
        else:
            before = p
            if code < CELL_FIRST + agents:
                other = agent_row(t, e, code - CELL_FIRST)
                count = s.agents[other + AG_TOKENS]
                p = put_block(out, p, end, location, s.agents, other + t[T_BLOCK], count)
            else:
                ob = object_row(t, e, code - CELL_FIRST - agents)
                count = s.objects[ob + OB_TOKENS]
                p = put_block(out, p, end, location, s.objects, ob + OB_TOKEN, count)
            dropped += count - np.int64((p - before) // THREE)
        visited += (step - (word >> SEEN_SHIFT)) & CODE_MASK
        s.cells[cell] = code | (step & CODE_MASK) << SEEN_SHIFT
    s.agents[g + t[T_STATS] + ST_VISITED] += visited
    s.env[env_row(e) + EN_WRITTEN] += np.int64((p - base) // THREE)
    s.env[env_row(e) + EN_DROPPED] += dropped
    while p < end:
        out[p] = 255
        p += ONE


@rule
def observe(t, s, e, out):
    """Write the observations of all agents of environment `e` to `out`, uint8 [E * A * 200 * 3]."""
    for a in range(t[T_AGENTS]):
        encode_agent(t, s, e, a)
    for a in range(t[T_AGENTS]):
        observe_agent(t, s, e, a, out)
    s.env[env_row(e) + EN_OBSERVATIONS] += t[T_AGENTS]
