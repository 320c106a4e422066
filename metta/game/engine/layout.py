"""The arrays of the engine and what each column means. No other file knows an offset.

`E` environments, `A` agents, `C` collectives (teams and clips, alphabetical), `R` resources, `K` object types.
The padded map has `PAD` cells of void around it, so that no observation window leaves the array. Its cells are numbered
in tiles of 4x4 (`metta.game.engine.grid`): a tile is one cache line, a window of 11x11 touches 12 of them, not 18.
What a step touches decides its speed, so rows that are read together lie together and fill whole cache lines.
"""

from typing import NamedTuple

import numpy as np

PAD = 5  # half an observation window
WINDOW = 2 * PAD + 1
WINDOW_CELLS = WINDOW * WINDOW
TILE_CELLS = 16
CACHE_LINE = 64  # bytes
TOKENS = 200
TOKEN_BYTES = 3
GLOBAL_LOCATION = 0xFE

# Cell codes (low 16 bits of a cell; the high 16 bits hold the step at which an agent last saw its object).
CELL_EMPTY, CELL_WALL, CELL_VOID, CELL_FIRST = 0, 1, 2, 3  # CELL_FIRST + i: agent i, then object i - A
CODE_MASK = 0xFFFF
SEEN_SHIFT = 16

# Columns of `agents`; inventory, the items held (their number, then ids, newest first) and statistics follow at
# offsets held in the tables.
(
    AG_CELL, AG_SPAWN_ROW, AG_SPAWN_COL, AG_ROW, AG_COL, AG_TEAM, AG_VIBE, AG_LAST_ACTION, AG_MOVED, AG_STILL,
    AG_SUCCESS, AG_ORDER, AG_LAST_CELL, AG_OVERFULL,
) = range(14)  # fmt: skip
AG_INVENTORY = 14

# Agent statistics, counted from the tables' STATS offset; then gained, lost and deposited of every resource in turn.
(
    ST_VISITED, ST_STILL_MAX, ST_NOOP, ST_MOVE, ST_MOVE_FAILED, ST_FAILED, ST_VIBE, ST_INVALID, ST_DEATH,
    ST_ALIGNED, ST_SCRAMBLED, ST_ALIGNED_SPECIAL, ST_SCRAMBLED_SPECIAL,
) = range(13)  # fmt: skip
ST_RESOURCE = 13
RESOURCE_STATS = 3
GAINED, LOST, DEPOSITED = range(RESOURCE_STATS)

# Columns of `objects`.
OB_KIND, OB_OWNER, OB_CELL, OB_STOCK, OB_ROW, OB_COL = range(6)
OB_COLUMNS = 6

# `blocks`: 16 bytes as they lie in an observation, the locations still 0; the last byte is the number of tokens.
BLOCK_WORDS = 2
BLOCK_TOKENS = 5
BLOCK_COUNT = 15

# `scratch`: rows are read in pieces of eight tokens.
SCRATCH_FIRST, SCRATCH_PIECE = 8, 24  # bytes

# Columns of `teams`: inventory[R], deposited[R], withdrawn[R], then per object type count, gained, lost, held.
TEAM_BLOCKS = 3

# Columns of `env`.
(
    EN_STEP, EN_EVENT, EN_OBJECTS, EN_MAP, EN_EPISODE, EN_LIMIT, EN_WRITTEN, EN_DROPPED, EN_OBSERVATIONS, EN_ENDED,
) = range(10)  # fmt: skip
EN_COLUMNS = 10

# Columns of `floats`: episode return, reward of the step before, then the last value of every reward entry.
FL_RETURN, FL_LAST_REWARD, FL_ENTRY = 0, 1, 2


class State(NamedTuple):
    """Everything that changes. The engine allocates these shapes; the rules get them flat (one index is the fastest
    way into an array) and find rows with `agent_row` and friends in `rows.py`."""

    cells: np.ndarray  # uint32 [E, cells]: code | seen << 16
    bits: np.ndarray  # uint64 [E, rows * words + 1]: a bit for each cell of the padded map that holds something
    cover: np.ndarray  # uint16 [E, cells, C]: areas of each collective that cover the cell
    agents: np.ndarray  # int32 [E, A, AG_…]
    objects: np.ndarray  # int32 [E, O, OB_COLUMNS]
    blocks: np.ndarray  # uint64 [E, codes, BLOCK_WORDS]: by cell code, the tokens by which it is seen (agents': unused)
    teams: np.ndarray  # int32 [E, C, …]
    env: np.ndarray  # int32 [E, EN_COLUMNS]
    floats: np.ndarray  # float32 [E, A, FL_ENTRY + entries]
    rng: np.ndarray  # uint64 [E]: state of the environment's random numbers
    scratch: np.ndarray  # uint8 [slots, A, block]: tokens by which agents are seen this step: their number, then from
    # SCRATCH_FIRST on as they lie in an observation, the locations 0; a slot is used by one environment at a time


class Tables(NamedTuple):
    """Everything that a mission fixes, shared by all environments."""

    ints: np.ndarray  # int32: header (T_…), then the sections that it points to
    weights: np.ndarray  # float32 [2 * entries]: weight and cap of each reward entry (infinite: no cap)
    ranks: np.ndarray  # uint64 [WINDOW, RANK_ROWS, 2]: bits of a window's row -> bits in window order
    maps: np.ndarray  # uint8 [P, H, W]: the pool of maps, codes of metta.game.maps.cells


# Header of `Tables.ints`: plain numbers …
(
    T_AGENTS, T_RESOURCES, T_COLLECTIVES, T_TYPES, T_HEIGHT, T_WIDTH, T_TILES, T_MAX_STEPS, T_STATS, T_BIT_WORDS,
    T_ENERGY, T_HP, T_CLIPS, T_NUM_ACTIONS, T_ELEMENT_LIMIT, T_RADIUS, T_BITS, T_COST_ROWS,
    T_TICK_ROWS, T_AREA_ROWS, T_EVENT_COUNT, T_TEAM_TOKENS, T_INVENTORY_FEATURE, T_HEART,
    T_ADD_BONUSES, T_AOE_VISIBLE, T_REWARD_VISIBLE, T_FREE_IDLE_USE, T_CUT_INITIAL, T_TRUNCATE, T_FLOOR_CAPS,
    T_GEAR_GROUP, T_GROUPS, T_AGENT_TAG, T_WALL_TAG,
    T_HELD, T_AGENT_COLUMNS, T_TEAM_COLUMNS, T_FLOAT_COLUMNS, T_OBJECTS, T_CELLS, T_CODES, T_SCRATCH,
    T_OWN_TOKENS, T_FIRST_ENV,
) = range(45)  # fmt: skip
# … feature ids …
(
    F_GROUP, F_FROZEN, F_COMPLETION, F_LAST_ACTION, F_LAST_REWARD, F_VIBE, F_TAG, F_COLLECTIVE, F_EAST, F_WEST,
    F_NORTH, F_SOUTH, F_AGENT_ID, F_AOE, F_MOVED,
) = range(45, 60)  # fmt: skip
# … and starts of sections.
(
    S_GROUP, S_GROUP_OF, S_MODIFIER, S_SUFFICIENT, S_COST, S_TICK, S_AREA, S_KIND, S_HANDLER, S_FILTER, S_MUTATION,
    S_SCHEDULE, S_EVENT, S_AGENT, S_TEAM, S_ENTRY, S_PLACE, S_CELL_KIND, S_TEAM_TOKEN, S_TAG, S_MEMBER,
    S_TEAM_LIMITED, S_OWN_TOKEN,
) = range(60, 83)  # fmt: skip
T_HEADER = 83

# Widths and columns of the sections.
GROUP_COLUMNS = 7
# GR_FLOOR: capacity that a lone item has whatever the bonuses; -1 for groups of several items.
GR_MIN, GR_MAX, GR_MODIFIER, GR_MODIFIERS, GR_MEMBER, GR_MEMBERS, GR_FLOOR = range(7)
MODIFIER_COLUMNS = 2  # resource, bonus
COST_COLUMNS = 2  # resource, amount
TICK_COLUMNS = 3  # resource, delta, resource that multiplies it (-1: none)
AREA_COLUMNS = 4  # resource, friendly delta, enemy delta, how
SUMMED, AT_ONCE, ONE_BY_ONE = range(3)  # enemy and friendly together; first enemy, then friendly; each area by itself
KIND_COLUMNS = 12
(
    KI_RESOURCE, KI_STOCK, KI_SOURCE, KI_REMOVABLE, KI_HANDLER, KI_HANDLERS, KI_TYPE, KI_OWNER, KI_TAG, KI_TAGS,
    KI_SPECIAL, KI_TARGET,
) = range(12)  # fmt: skip
HANDLER_COLUMNS = 4  # first filter, filters, first mutation, mutations
FILTER_COLUMNS = 3  # what, resource or group, amount
MUTATION_COLUMNS = 3
(
    FI_ALIGNED, FI_NEUTRAL, FI_ENEMY, FI_ACTOR_HAS, FI_OBJECT_HAS, FI_TEAM_HAS, FI_ACTOR_HAS_ELEMENT, FI_ACTOR_ROOM,
) = range(8)  # fmt: skip
(
    MU_TAKE, MU_DEPOSIT, MU_ACTOR, MU_OBJECT, MU_TEAM, MU_ALIGN, MU_NEUTRALISE, MU_CLEAR_GEAR,
) = range(8)  # fmt: skip
SCHEDULE_COLUMNS = 2  # step, event
# Section S_SUFFICIENT: 0 for a resource that raises no limit; else how much of it is enough for all limits it raises
# to be at their most. Losing more than that changes no limit, so there is nothing to enforce.
EVENT_COLUMNS = 7
EV_TARGET, EV_FILTER, EV_RADIUS, EV_EFFECT, EV_AMOUNT, EV_COUNT, EV_FALLBACK = range(7)
TARGET_JUNCTIONS, TARGET_AGENTS = 0, 1
WHO_ANY, WHO_NEUTRAL, WHO_TEAMS = 0, 1, 2
EFFECT_NONE, EFFECT_CLIPS, EFFECT_NEUTRAL, EFFECT_RESOURCE = 0, 1, 2, 8  # EFFECT_RESOURCE + r: add to resource r
ENTRY_COLUMNS = 2
SOURCE_AGENT, SOURCE_TEAM, SOURCE_GAIN, SOURCE_DEPOSIT, SOURCE_ZERO = range(5)
# … then inventory[R]
(
    AGENT_COLLECTIVE, AGENT_GROUP, AGENT_TAG, AGENT_ENTRY, AGENT_ENTRIES, AGENT_VIBE, AGENT_STOCK,
) = range(7)  # fmt: skip
# Rows of `ranks` for one row of the window: the values of its lower bits, then those of its upper bits.
RANK_LOW_BITS, RANK_HIGH_BITS = 6, 5
RANK_LOW, RANK_ROWS = 1 << RANK_LOW_BITS, (1 << RANK_LOW_BITS) + (1 << RANK_HIGH_BITS)
# Section S_PLACE: for each place that a window's centre may have in its tile, the window's cells in window order as
# (cell relative to the centre) << LOCATION_BITS | location.
PLACES = 128
LOCATION_BITS = 8
LOCATION_MASK = 0xFF
