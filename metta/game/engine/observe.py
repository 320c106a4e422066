"""Writing observations: global tokens, then the window's cells from the centre outward (rules 8)."""

from metta.game.compiled import rule
from metta.game.engine.layout import (
    AG_CELL, AG_COL, AG_INVENTORY, AG_LAST_ACTION, AG_MOVED, AG_ROW, AG_SPAWN_COL, AG_SPAWN_ROW, AG_TEAM, AG_TOKENS,
    AG_VIBE, AGENT_GROUP, AGENT_STOCK, AGENT_TAG, CELL_FIRST, CELL_WALL, CODE_MASK, EN_DROPPED, EN_OBJECTS,
    EN_OBSERVATIONS, EN_STEP, EN_WRITTEN, F_AGENT_ID, F_AOE, F_COLLECTIVE, F_COMPLETION, F_EAST, F_FROZEN, F_GROUP,
    F_LAST_ACTION, F_LAST_REWARD, F_MOVED, F_NORTH, F_SOUTH, F_TAG, F_VIBE, F_WEST, FL_LAST_REWARD, GLOBAL_LOCATION,
    KI_SOURCE, OB_CELL, OB_OWNER, OB_TOKEN, OB_TOKENS, S_AGENT, S_OFFSET, S_TEAM_TOKEN, SEEN_SHIFT,
    ST_VISITED, T_AGENT_TAG, T_AGENTS, T_AOE_VISIBLE, T_BLOCK, T_COLLECTIVES, T_HELD, T_INVENTORY_FEATURE, T_MAX_STEPS,
    T_RESOURCES, T_REWARD_VISIBLE, T_STATS, T_STRIDE, T_TEAM_TOKENS, T_WALL_TAG, T_WINDOW_SIZE, TOKEN_BYTES, TOKENS,
)  # fmt: skip
from metta.game.engine.objects import NEUTRAL, kind_value

FRIENDLY, ENEMY = 1, 2


@rule
def put(out, base, n, location, feature, value):
    """Write token `n` of the observation at byte `base`, if there is room; returns n + 1."""
    if n < TOKENS:
        p = base + n * TOKEN_BYTES
        out[p] = location
        out[p + 1] = feature
        out[p + 2] = value
    return n + 1


@rule
def put_amount(out, base, n, location, feature, amount):
    """Write an amount in base 256: the second token only when needed."""
    n = put(out, base, n, location, feature, amount & 255)
    if amount > 255:
        n = put(out, base, n, location, feature + 1, amount >> 8)
    return n


@rule
def encode_agent(t, s, e, a):
    """Write the tokens by which others see agent `a` to its block (feature | value << 8)."""
    block = t[T_BLOCK]
    row = t[S_AGENT] + a * (AGENT_STOCK + t[T_RESOURCES])
    s.agents[e, a, block] = t[F_COLLECTIVE] | s.agents[e, a, AG_TEAM] << 8
    s.agents[e, a, block + 1] = t[F_TAG] | t[row + AGENT_TAG] << 8
    s.agents[e, a, block + 2] = t[F_TAG] | t[T_AGENT_TAG] << 8
    n = block + 3
    if s.agents[e, a, AG_VIBE]:
        s.agents[e, a, n] = t[F_VIBE] | s.agents[e, a, AG_VIBE] << 8
        n += 1
    held = t[T_HELD]
    for k in range(held + 1, held + 1 + s.agents[e, a, held]):
        item = s.agents[e, a, k]
        amount = s.agents[e, a, AG_INVENTORY + item]
        feature = t[T_INVENTORY_FEATURE] + 2 * item
        s.agents[e, a, n] = feature | (amount & 255) << 8
        n += 1
        if amount > 255:
            s.agents[e, a, n] = (feature + 1) | (amount >> 8) << 8
            n += 1
    s.agents[e, a, n] = t[F_GROUP] | t[row + AGENT_GROUP] << 8
    s.agents[e, a, n + 1] = t[F_FROZEN]
    s.agents[e, a, n + 2] = t[F_AGENT_ID] | a << 8
    s.agents[e, a, AG_TOKENS] = n + 3 - block


@rule
def _put_global(t, s, e, a, out, base):
    """Tokens about the episode, the last action, the way from the spawn cell and the team; returns their number."""
    at = GLOBAL_LOCATION
    step, last = s.env[e, EN_STEP], t[T_MAX_STEPS]
    n = put(out, base, 0, at, t[F_COMPLETION], 255 if step >= last else (256 * step) // last)
    n = put(out, base, n, at, t[F_LAST_ACTION], s.agents[e, a, AG_LAST_ACTION])
    n = put(out, base, n, at, t[F_MOVED], s.agents[e, a, AG_MOVED])
    reward = 0
    if t[T_REWARD_VISIBLE]:
        reward = max(0, min(255, round(100 * s.floats[e, a, FL_LAST_REWARD])))
    n = put(out, base, n, at, t[F_LAST_REWARD], reward)
    east = s.agents[e, a, AG_COL] - s.agents[e, a, AG_SPAWN_COL]
    south = s.agents[e, a, AG_ROW] - s.agents[e, a, AG_SPAWN_ROW]
    if east != 0:
        n = put(out, base, n, at, t[F_EAST] if east > 0 else t[F_WEST], min(255, abs(east)))
    if south != 0:
        n = put(out, base, n, at, t[F_SOUTH] if south > 0 else t[F_NORTH], min(255, abs(south)))
    team = s.agents[e, a, AG_TEAM]
    for k in range(t[T_TEAM_TOKENS]):
        row = t[S_TEAM_TOKEN] + 2 * k
        n = put_amount(out, base, n, at, t[row + 1], s.teams[e, team, t[row]])
    return n


@rule
def _nearest_owner(t, s, e, cell):
    """Owner of the area source nearest to `cell`; NEUTRAL for a tie between collectives."""
    stride = t[T_STRIDE]
    best, owner = 1 << 30, NEUTRAL
    for o in range(s.env[e, EN_OBJECTS]):
        held = s.objects[e, o, OB_OWNER]
        if held != NEUTRAL and kind_value(t, s, e, o, KI_SOURCE):
            at = s.objects[e, o, OB_CELL]
            dr, dc = at // stride - cell // stride, at % stride - cell % stride
            distance = dr * dr + dc * dc
            if distance < best:
                best, owner = distance, held
            elif distance == best and held != owner:
                owner = NEUTRAL
    return owner


@rule
def _territory(t, s, e, a, cell):
    """Value of the aoe_mask token of a cell: FRIENDLY, ENEMY or 0."""
    friendly, enemy = 0, 0
    for c in range(t[T_COLLECTIVES]):
        if c == s.agents[e, a, AG_TEAM]:
            friendly += s.cover[e, cell, c]
        else:
            enemy += s.cover[e, cell, c]
    if friendly and enemy:
        owner = _nearest_owner(t, s, e, cell)
        if owner == NEUTRAL:
            return 0
        return FRIENDLY if owner == s.agents[e, a, AG_TEAM] else ENEMY
    return FRIENDLY if friendly else (ENEMY if enemy else 0)


@rule
def _occupied(t, s, e, center):
    """List the window's cells that hold anything in `scratch`, in window order; returns their number."""
    offsets = t[S_OFFSET]
    n = 0
    for k in range(t[T_WINDOW_SIZE]):
        s.scratch[e, n] = k
        if t[T_AOE_VISIBLE]:
            n += 1
        else:
            n += (s.cells[e, center + t[offsets + 2 * k]] & CODE_MASK) != 0
    return n


@rule
def observe_agent(t, s, e, a, out, base):
    """Write agent `a`'s observation, 0xFF behind its last token; counts what it saw (cell.visited)."""
    n = _put_global(t, s, e, a, out, base)
    center = s.agents[e, a, AG_CELL]
    step, agents, offsets = s.env[e, EN_STEP], t[T_AGENTS], t[S_OFFSET]
    visited = 0
    for i in range(_occupied(t, s, e, center)):
        k = s.scratch[e, i]
        cell = center + t[offsets + 2 * k]
        location = t[offsets + 2 * k + 1]
        word = s.cells[e, cell]
        code = word & CODE_MASK
        if t[T_AOE_VISIBLE]:
            mask = _territory(t, s, e, a, cell)
            if mask:
                n = put(out, base, n, location, t[F_AOE], mask)
        if code == CELL_WALL:
            n = put(out, base, n, location, t[F_TAG], t[T_WALL_TAG])
        elif code < CELL_FIRST:
            continue
        elif code < CELL_FIRST + agents:
            other = code - CELL_FIRST
            block = t[T_BLOCK]
            for j in range(s.agents[e, other, AG_TOKENS]):
                token = s.agents[e, other, block + j]
                n = put(out, base, n, location, token & 255, token >> 8)
        else:
            o = code - CELL_FIRST - agents
            for j in range(s.objects[e, o, OB_TOKENS]):
                token = s.objects[e, o, OB_TOKEN + j]
                n = put(out, base, n, location, token & 255, token >> 8)
        visited += (step - (word >> SEEN_SHIFT)) & CODE_MASK
        s.cells[e, cell] = code | (step & CODE_MASK) << SEEN_SHIFT
    s.agents[e, a, t[T_STATS] + ST_VISITED] += visited
    written = min(n, TOKENS)
    for p in range(base + written * TOKEN_BYTES, base + TOKENS * TOKEN_BYTES):
        out[p] = 255
    s.env[e, EN_WRITTEN] += written
    s.env[e, EN_DROPPED] += n - written


@rule
def observe(t, s, e, out):
    """Write the observations of all agents of environment `e` to `out`, uint8 [E * A * 200 * 3]."""
    agents = t[T_AGENTS]
    for a in range(agents):
        encode_agent(t, s, e, a)
    for a in range(agents):
        observe_agent(t, s, e, a, out, (e * agents + a) * TOKENS * TOKEN_BYTES)
    s.env[e, EN_OBSERVATIONS] += agents
