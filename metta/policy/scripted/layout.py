"""The arrays of the scripted policies and what each column means.

A *mind* is a memory and a plan: one for all agents of a team, or one per agent where memory is not shared. `N` minds,
`G` agents in all environments, `T` things per mind. Cells are numbered `row * SIZE + col` with the team's hub at
`HUB_CELL`, so all agents of a mind speak of the same places whatever the map.
"""

from typing import NamedTuple

import numpy as np

SIZE = 128  # cells of the remembered square; what lies outside counts as wall
HALF = SIZE // 2
CELLS = SIZE * SIZE
HUB_CELL = HALF * SIZE + HALF
RADIUS = 10  # of an area
THINGS = 512
PATH = 192
GHOSTS = 8  # suspected junctions of the clips that a mind keeps
FAR = 1 << 28
STEPS = (0, -SIZE, SIZE, -1, 1)  # by move action: noop, north, south, west, east

# Codes of `at`: what stands on a cell; THING + i is thing i.
UNKNOWN, FREE, WALL, THING = range(4)
# Kinds of things; extractors follow in element order, stations in gear order.
GONE, HUB, JUNCTION, TEAM_JUNCTION = range(4)
STATION = 4  # + gear (aligner, scrambler, miner, scout)
EXTRACTOR = 8  # + element (oxygen, carbon, germanium, silicon)
KINDS = 12
NEUTRAL, OURS, THEIRS = 0, 1, 2

# Columns of `things`. STOCK: elements of an extractor, hearts of a hub. HOME: steps to the nearest depot; of a
# junction: steps that it would save as a depot.
TH_KIND, TH_CELL, TH_OWNER, TH_STOCK, TH_SEEN, TH_CLAIM, TH_HOME, TH_AVOID = range(8)
TH_COLUMNS = 8

# Columns of `minds`. EXPLORED: step before which nobody looks for unknown cells.
MI_STEP, MI_TEAM, MI_HUB, MI_THINGS, MI_EXPLORED, MI_DIRTY, MI_STOCK = range(7)  # four elements follow
MI_COLUMNS = 11

# Roles and gear: 0 is none, else 1 + gear.
NONE, ALIGNER, SCRAMBLER, MINER, SCOUT = range(5)
# Tasks.
IDLE, GEAR, LOAD, ALIGN, SCRAMBLE, MINE, DEPOSIT, EXPLORE, PATROL, RETREAT, SEEK = range(11)
TASKS = ("idle", "gear", "load", "align", "scramble", "mine", "deposit", "explore", "patrol", "retreat", "seek")

# Columns of `agents`.
(
    AG_MIND, AG_CELL, AG_ROW, AG_COL, AG_SPAWN_ROW, AG_SPAWN_COL, AG_FRAMED, AG_GEAR, AG_VIBE, AG_ROLE, AG_FIXED,
    AG_TASK, AG_TARGET, AG_GOAL, AG_LENGTH, AG_AT, AG_NEXT, AG_STUCK, AG_CHOSEN, AG_WAITED, AG_DIRECTION, AG_LAST,
    AG_FELT, AG_WAS,
) = range(24)  # fmt: skip
AG_ITEM = 24  # resources in order: energy, heart, hp, influence, solar, four elements, four gears
AG_ENERGY, AG_HEART, AG_HP, AG_INFLUENCE, AG_SOLAR, AG_ELEMENT, AG_WORN = 24, 25, 26, 27, 28, 29, 33
AG_BEFORE = 37  # inventory sum of the step before: did the last action change anything?
AG_MOST = 38  # hearts that it can carry, once the hub gave no more; 0: not known yet
AG_FROM = 39  # cell of the step before
AG_COLUMNS = 40

# `query`: what a search looks for beside offers: penalty of unknown cells, of friendly cells, one cell, and its limits.
# HOMEWARD: what an unknown cell costs more for each step from there to the hub.
# SWEPT: the cost up to which the search met no unknown cell; -1 once it met one.
Q_UNKNOWN, Q_FRIENDLY, Q_CELL, Q_OUTSIDE, Q_CLEAN, Q_LOW, Q_COUNT, Q_SWEPT, Q_HOMEWARD = range(9)
Q_COLUMNS = 9


class State(NamedTuple):
    """Memory of all minds and agents, and scratch that one search uses at a time."""

    at: np.ndarray  # int16 [N, CELLS]
    friend: np.ndarray  # uint8 [N, CELLS]: friendly areas that cover the cell
    enemy: np.ndarray  # uint8 [N, CELLS]
    busy: np.ndarray  # uint8 [N, CELLS]: 1 an agent stands here, 2 one leaves, 3 one arrives
    things: np.ndarray  # int32 [N, THINGS, TH_COLUMNS]
    minds: np.ndarray  # int32 [N, MI_COLUMNS]
    agents: np.ndarray  # int32 [G, AG_COLUMNS]
    paths: np.ndarray  # uint8 [G, PATH]: move actions
    ghosts: np.ndarray  # int32 [N, GHOSTS, 3]: cell (0: none) and step of a suspicion, and where it arose
    marks: np.ndarray  # int32 [N, marks]: number of busy cells, then the cells
    rng: np.ndarray  # uint64 [G]: state of the agent's random numbers
    actions: np.ndarray  # int32 [G]
    offers: np.ndarray  # int32 [THINGS]
    query: np.ndarray  # int32 [Q_COLUMNS]
    dist: np.ndarray  # int32 [CELLS]
    outside: np.ndarray  # int32 [CELLS]: steps outside friendly areas on the way
    stamp: np.ndarray  # int32 [CELLS]: search that wrote `dist`; negative once settled
    parent: np.ndarray  # uint8 [CELLS]
    node: np.ndarray  # int32 [nodes, 2]: cell, next node of the bucket
    heads: np.ndarray  # int32 [BUCKETS]
    counter: np.ndarray  # int32 [1]: searches so far
    window: np.ndarray  # uint8 [256]: locations of the window that hold something
    flow: np.ndarray  # int32 [4]: elements that the team has or will soon have


BUCKETS = 32
NODES = 4 * CELLS


# Columns of `plan`: what the one planner is told (metta.policy.scripted.plans has the meanings).
(
    PL_FIRST_ALIGNERS, PL_LOAD, PL_UP, PL_PATIENCE, PL_EXPLORE, PL_BALANCE, PL_PART, PL_PATROL, PL_RIVAL, PL_SCRAMBLERS,
    PL_SURPLUS, PL_COOLDOWN, PL_FIRST_SCOUTS, PL_HOME, PL_REVIEW, PL_VIBES,
    PL_DEPOT, PL_CROWDED, PL_DISMISS, PL_CLAIM, PL_SLACK, PL_RATE,
) = range(22)  # fmt: skip


class Tables(NamedTuple):
    """What the environment's names mean."""

    feature: np.ndarray  # int32 [256]: meaning of a feature id (FE_…)
    tag: np.ndarray  # int32 [256]: kind of thing that a tag means, KINDS: wall, KINDS + 1: agent, 0: nothing
    vibe_action: np.ndarray  # int32 [5]: action that shows a role; -1: none
    vibe: np.ndarray  # int32 [5]: vibe id of a role
    plan: np.ndarray  # int32: see metta.policy.scripted.plans


(
    FE_NOTHING, FE_LAST_ACTION, FE_VIBE, FE_TAG, FE_COLLECTIVE, FE_EAST, FE_WEST, FE_NORTH, FE_SOUTH,
) = range(9)  # fmt: skip
FE_ITEM = 16  # + 2 * resource (+ 1: the token of higher value)
FE_STOCK = 48  # + 2 * element (+ 1)
TAG_WALL, TAG_AGENT = KINDS, KINDS + 1


def allocate(envs: int, agents: int, minds_per_env: int) -> State:
    minds, count = envs * minds_per_env, envs * agents
    marks = 2 * agents + 122
    return State(
        at=np.zeros((minds, CELLS), np.int16),
        friend=np.zeros((minds, CELLS), np.uint8),
        enemy=np.zeros((minds, CELLS), np.uint8),
        busy=np.zeros((minds, CELLS), np.uint8),
        things=np.zeros((minds, THINGS, TH_COLUMNS), np.int32),
        minds=np.zeros((minds, MI_COLUMNS), np.int32),
        agents=np.zeros((count, AG_COLUMNS), np.int32),
        paths=np.zeros((count, PATH), np.uint8),
        ghosts=np.zeros((minds, GHOSTS, 3), np.int32),
        marks=np.zeros((minds, marks), np.int32),
        rng=np.zeros(count, np.uint64),
        actions=np.zeros(count, np.int32),
        offers=np.zeros(THINGS, np.int32),
        query=np.zeros(Q_COLUMNS, np.int32),
        dist=np.zeros(CELLS, np.int32),
        outside=np.zeros(CELLS, np.int32),
        stamp=np.zeros(CELLS, np.int32),
        parent=np.zeros(CELLS, np.uint8),
        node=np.zeros((NODES, 2), np.int32),
        heads=np.zeros(BUCKETS, np.int32),
        counter=np.zeros(1, np.int32),
        window=np.zeros(256, np.uint8),
        flow=np.zeros(4, np.int32),
    )
