"""Writing observations: global tokens, then the window's cells from the centre outward (rules 8).

A token is three bytes: location, feature, value. It is stored as a word of four; the next token overwrites the fourth.
Positions are unsigned: that spares the check for a negative index on every access.
"""

import numpy as np

from metta.game.compiled import cold, part, rule
from metta.game.engine.grid import cell_at
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
    AG_VIBE,
    AGENT_GROUP,
    AGENT_STOCK,
    AGENT_TAG,
    CELL_EMPTY,
    CELL_FIRST,
    CELL_VOID,
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
    LOCATION_BITS,
    LOCATION_MASK,
    OB_COL,
    OB_OWNER,
    OB_ROW,
    PAD,
    PLACES,
    RANK_LOW,
    RANK_LOW_BITS,
    RANK_ROWS,
    S_AGENT,
    S_OWN_TOKEN,
    S_PLACE,
    S_TEAM_TOKEN,
    SCRATCH_FIRST,
    SCRATCH_PIECE,
    SEEN_SHIFT,
    ST_VISITED,
    T_AGENT_TAG,
    T_AGENTS,
    T_AOE_VISIBLE,
    T_BIT_WORDS,
    T_BITS,
    T_CELLS,
    T_COLLECTIVES,
    T_HELD,
    T_INVENTORY_FEATURE,
    T_MAX_STEPS,
    T_OWN_TOKENS,
    T_RESOURCES,
    T_REWARD_VISIBLE,
    T_SCRATCH,
    T_STATS,
    T_TEAM_TOKENS,
    TILE_CELLS,
    TOKEN_BYTES,
    TOKENS,
    WINDOW,
    WINDOW_CELLS,
)  # fmt: skip
from metta.game.engine.memory import load_long, lowest_bit, store_long, store_word
from metta.game.engine.objects import NEUTRAL, kind_value
from metta.game.engine.rows import agent_row, block_row, env_row, float_row, object_row, scratch_row, team_row

FRIENDLY, ENEMY = 1, 2
ZERO, ONE, TWO, THREE = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(TOKEN_BYTES)
BLOCK_BYTES, LONG_BYTES = np.uint64(16), np.uint64(8)
LOW_LOCATIONS = np.uint64(1 | 1 << 24 | 1 << 48)  # where a block's words take the location: bytes 0, 3 and 6 …
HIGH_LOCATIONS = np.uint64(1 << 8 | 1 << 32)  # … 9 and 12
MIDDLE_LOCATIONS, LAST_LOCATIONS = np.uint64(1 << 8 | 1 << 32 | 1 << 56), np.uint64(1 << 16 | 1 << 40)  # … up to 21
PIECE_BYTES = np.uint64(SCRATCH_PIECE)
PADDING = 255
ROW_BITS, ROW_MASK = np.uint64(63), np.uint64((1 << WINDOW) - 1)
LOW_BITS, LOW_MASK = np.uint64(RANK_LOW_BITS), np.uint64(RANK_LOW - 1)
HALF_PLACES = np.uint64(PLACES // 2)
COUNT_SHIFT, BYTE_MASK = np.uint64(56), np.uint64(255)
EVERY_LOW, EVERY_HIGH = np.uint64((1 << 64) - 1), np.uint64((1 << WINDOW_CELLS - 64) - 1)


@rule
def put(out, p, location, feature, value):
    """Write a token at byte `p`; returns the next position."""
    store_word(out, p, location | feature << 8 | value << 16)
    return p + THREE


@rule
def put_amount(out, p, location, feature, amount):
    """Write an amount in base 256: the second token only when needed."""
    p = put(out, p, location, feature, amount & 255)
    if amount > 255:
        p = put(out, p, location, feature + 1, amount >> 8)
    return p


@rule
def put_slowly(out, p, end, location, token):
    """Write a token (feature | value << 8) byte by byte if it ends before `end`; returns the next position."""
    if p < end:
        out[p] = location
        out[p + ONE] = token & 255
        out[p + TWO] = token >> 8
        p += THREE
    return p


@rule
def _byte(low, high, k):
    """Byte `k` of the 16 that two words hold."""
    word = low if k < 8 else high
    return np.int64(word >> np.uint64(8 * (k & 7)) & BYTE_MASK)


@rule
def put_block_slowly(out, p, end, location, low, high):
    """Write the tokens of an object's block one by one, as many as fit before `end`; returns the next position."""
    for k in range(0, TOKEN_BYTES * np.int64(high >> COUNT_SHIFT), TOKEN_BYTES):
        p = put_slowly(out, p, end, location, _byte(low, high, k + 1) | _byte(low, high, k + 2) << 8)
    return p


@rule
def _put_block(out, p, location, low, high):
    """Write the tokens of an object's block; returns the next position.

    The block is written whole whatever its number of tokens, since a branch would cost more: the next overwrites it.
    """
    store_long(out, p, low | np.uint64(location) * LOW_LOCATIONS)
    store_long(out, p + LONG_BYTES, high | np.uint64(location) * HIGH_LOCATIONS)
    return p + (high >> COUNT_SHIFT) * THREE


@rule
def put_agent_slowly(t, s, slot, a, out, p, end, location):
    """Write the tokens by which agent `a` is seen one by one, as many as fit; returns the next position."""
    row = scratch_row(t, slot, a)
    first = row + SCRATCH_FIRST
    for k in range(first, first + TOKEN_BYTES * np.int64(s.scratch[row]), TOKEN_BYTES):
        p = put_slowly(out, p, end, location, np.int64(s.scratch[k + 1]) | np.int64(s.scratch[k + 2]) << 8)
    return p


@rule
def _put_agent(t, s, slot, a, out, p, location):
    """Write the tokens by which agent `a` is seen; returns the next position.

    They are copied in pieces of eight tokens: agents differ in their number of tokens, hardly in that of pieces, which
    spares mispredicted branches. What stands behind the last token the next overwrites.
    """
    row = np.uint64(scratch_row(t, slot, a))
    next_p, k = p + np.uint64(s.scratch[row]) * THREE, row + np.uint64(SCRATCH_FIRST)
    place = np.uint64(location)
    while p < next_p:
        store_long(out, p, load_long(s.scratch, k) | place * LOW_LOCATIONS)
        store_long(out, p + LONG_BYTES, load_long(s.scratch, k + LONG_BYTES) | place * MIDDLE_LOCATIONS)
        store_long(out, p + BLOCK_BYTES, load_long(s.scratch, k + BLOCK_BYTES) | place * LAST_LOCATIONS)
        p += PIECE_BYTES
        k += PIECE_BYTES
    return next_p


@rule
def encode_agents(t, s, e, slot):
    """Write the tokens by which the agents are seen to the slot, which no other environment may use meanwhile."""
    for a in range(t[T_AGENTS]):
        encode_agent(t, s, e, slot, a)


@part
def encode_agent(t, s, e, slot, a):
    """Write the tokens by which others see agent `a`, and their number, to the slot."""
    g, out = agent_row(t, e, a), s.scratch
    agent = t[S_AGENT] + a * (AGENT_STOCK + t[T_RESOURCES])
    row = scratch_row(t, slot, a)
    first = np.uint64(row + SCRATCH_FIRST)
    p = put(out, first, 0, t[F_COLLECTIVE], s.agents[g + AG_TEAM])
    p = put(out, p, 0, t[F_TAG], t[agent + AGENT_TAG])
    p = put(out, p, 0, t[F_TAG], t[T_AGENT_TAG])
    if s.agents[g + AG_VIBE]:
        p = put(out, p, 0, t[F_VIBE], s.agents[g + AG_VIBE])
    held = g + t[T_HELD]
    for k in range(held + 1, held + 1 + s.agents[held]):
        item = s.agents[k]
        p = put_amount(out, p, 0, t[T_INVENTORY_FEATURE] + 2 * item, s.agents[g + AG_INVENTORY + item])
    p = put(out, p, 0, t[F_GROUP], t[agent + AGENT_GROUP])
    p = put(out, p, 0, t[F_FROZEN], 0)
    p = put(out, p, 0, t[F_AGENT_ID], a)
    out[row] = (p - first) // THREE


@part
def put_global(t, s, e, a, out, p):
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
def _nearest_owner(t, s, e, row, col):
    """Owner of the area source nearest to a cell; NEUTRAL for a tie between collectives."""
    best, owner = 1 << 30, NEUTRAL
    for o in range(s.env[env_row(e) + EN_OBJECTS]):
        ob = object_row(t, e, o)
        held = s.objects[ob + OB_OWNER]
        if held != NEUTRAL and kind_value(t, s, ob, KI_SOURCE):
            dr, dc = s.objects[ob + OB_ROW] - row, s.objects[ob + OB_COL] - col
            distance = dr * dr + dc * dc
            if distance < best:
                best, owner = distance, held
            elif distance == best and held != owner:
                owner = NEUTRAL
    return owner


@rule
def _territory(t, s, e, team, row, col):
    """Value of the aoe_mask token of a cell: FRIENDLY, ENEMY or 0."""
    friendly, enemy = 0, 0
    cover = (e * t[T_CELLS] + cell_at(t, row, col)) * t[T_COLLECTIVES]
    for c in range(t[T_COLLECTIVES]):
        if c == team:
            friendly += s.cover[cover + c]
        else:
            enemy += s.cover[cover + c]
    if friendly and enemy:
        owner = _nearest_owner(t, s, e, row, col)
        if owner == NEUTRAL:
            return 0
        return FRIENDLY if owner == team else ENEMY
    return FRIENDLY if friendly else (ENEMY if enemy else 0)


@part
def _window(tables, s, e, row, col):
    """Which cells of the window around a cell hold something: 121 bits in window order, in two words."""
    t, ranks = tables.ints, tables.ranks
    words = np.uint64(t[T_BIT_WORDS])
    word = np.uint64(e * t[T_BITS] + (row - PAD) * t[T_BIT_WORDS] + ((col - PAD) >> 6))
    shift = np.uint64((col - PAD) & 63)
    low, high, at = ZERO, ZERO, ZERO
    for _ in range(WINDOW):
        bits = (s.bits[word] >> shift | s.bits[word + ONE] << ONE << (ROW_BITS - shift)) & ROW_MASK
        first = at + (bits & LOW_MASK) * TWO
        second = at + (np.uint64(RANK_LOW) + (bits >> LOW_BITS)) * TWO
        low |= ranks[first] | ranks[second]
        high |= ranks[first + ONE] | ranks[second + ONE]
        word += words
        at += np.uint64(RANK_ROWS) * TWO
    return low, high


@rule
def territory_at(t, s, e, a, location):
    """Value of the aoe_mask token at a location of agent `a`'s window; 0: none."""
    g = agent_row(t, e, a)
    row = s.agents[g + AG_ROW] + (location >> 4) - PAD
    col = s.agents[g + AG_COL] + (location & 15) - PAD
    if s.cells[e * t[T_CELLS] + cell_at(t, row, col)] & CODE_MASK == CELL_VOID:
        return 0
    return _territory(t, s, e, s.agents[g + AG_TEAM], row, col)


@cold
def _put_cell_slowly(tables, s, e, slot, a, place, out, p, end):
    """Write all that agent `a` sees on a cell of its window, token by token, as many as fit.

    Returns the position, the tokens that did not fit, and the steps that what stands there was unseen.
    """
    t, start, tokens, unseen = tables.ints, p, 0, 0
    step, packed = s.env[env_row(e) + EN_STEP], t[place]
    cell = e * t[T_CELLS] + s.agents[agent_row(t, e, a) + AG_CELL] + (packed >> LOCATION_BITS)
    location, word = packed & LOCATION_MASK, np.int64(s.cells[cell])
    code = word & CODE_MASK
    if t[T_AOE_VISIBLE]:
        mask = territory_at(t, s, e, a, location)
        if mask:
            p = put_slowly(out, p, end, location, t[F_AOE] | mask << 8)
            tokens += 1
    if CELL_FIRST <= code < CELL_FIRST + t[T_AGENTS]:
        p = put_agent_slowly(t, s, slot, code - CELL_FIRST, out, p, end, location)
        tokens += np.int64(s.scratch[scratch_row(t, slot, code - CELL_FIRST)])
    elif code not in (CELL_EMPTY, CELL_VOID):
        block = block_row(t, e, code)
        p = put_block_slowly(out, p, end, location, s.blocks[block], s.blocks[block + 1])
        tokens += np.int64(s.blocks[block + 1] >> COUNT_SHIFT)
    if code not in (CELL_EMPTY, CELL_VOID):
        unseen = (step - (word >> SEEN_SHIFT)) & CODE_MASK
        s.cells[cell] = code | (step & CODE_MASK) << SEEN_SHIFT
    return p, tokens - np.int64((p - start) // THREE), unseen


@rule
def observe_agent(tables, s, e, slot, a, out):
    """Write agent `a`'s observation, 0xFF behind its last token; counts tokens and cell.visited.

    The first loop goes on while there is room for whatever may stand on a cell; the second one looks more closely.
    """
    t = tables.ints
    g, agents = agent_row(t, e, a), t[T_AGENTS]
    base = np.uint64((e * agents + a) * TOKENS) * THREE
    end = base + np.uint64(TOKENS) * THREE
    p = put_global(t, s, e, a, out, base)
    center, step = s.agents[g + AG_CELL], s.env[env_row(e) + EN_STEP]
    place = np.uint64(t[S_PLACE] + (center & (TILE_CELLS - 1)) * PLACES)
    center += e * t[T_CELLS]
    blocks, seen_now = np.uint64(block_row(t, e, 0)), (step & CODE_MASK) << SEEN_SHIFT
    visited, dropped, room = 0, 0, end - np.uint64(t[T_SCRATCH])
    low, high = _window(tables, s, e, s.agents[g + AG_ROW], s.agents[g + AG_COL])
    if t[T_AOE_VISIBLE]:
        low, high, room = EVERY_LOW, EVERY_HIGH, base
    for half in range(2):
        bits = high if half else low
        while bits != ZERO and p <= room:
            packed = t[place + lowest_bit(bits)]
            bits &= bits - ONE
            cell, location = np.uint64(center + (packed >> LOCATION_BITS)), packed & LOCATION_MASK
            word = np.int64(s.cells[cell])
            code = word & CODE_MASK
            if np.uint64(code - CELL_FIRST) < np.uint64(agents):
                p = _put_agent(t, s, slot, code - CELL_FIRST, out, p, location)
            else:
                block = blocks + np.uint64(code) * TWO
                p = _put_block(out, p, location, s.blocks[block], s.blocks[block + ONE])
            visited += (step - (word >> SEEN_SHIFT)) & CODE_MASK
            s.cells[cell] = code | seen_now
        while bits != ZERO:
            p, missing, unseen = _put_cell_slowly(tables, s, e, slot, a, place + lowest_bit(bits), out, p, end)
            bits &= bits - ONE
            dropped += missing
            visited += unseen
        place += HALF_PLACES
    s.agents[g + t[T_STATS] + ST_VISITED] += visited
    s.env[env_row(e) + EN_OBSERVATIONS] += 1
    s.env[env_row(e) + EN_WRITTEN] += np.int64((p - base) // THREE)
    s.env[env_row(e) + EN_DROPPED] += dropped
    while p < end:
        out[p] = PADDING
        p += ONE


@rule
def observe(tables, s, e, slot, out):
    """Write the observations of all agents of environment `e` to `out`, uint8 [E * A * 200 * 3]."""
    encode_agents(tables.ints, s, e, slot)
    for a in range(tables.ints[T_AGENTS]):
        observe_agent(tables, s, e, slot, a, out)
