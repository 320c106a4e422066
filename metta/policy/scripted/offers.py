"""What an agent may do, by its gear: offers for one search (rules 4, 5)."""

from metta.policy.scripted.areas import distance, find_homes, is_source
from metta.policy.scripted.compiled import kernel
from metta.policy.scripted.layout import (
    AG_AT,
    AG_CELL,
    AG_ELEMENT,
    AG_GEAR,
    AG_HEART,
    AG_HP,
    AG_INFLUENCE,
    AG_LENGTH,
    AG_MIND,
    AG_ROLE,
    AG_TARGET,
    AG_TASK,
    ALIGN,
    ALIGNER,
    EXTRACTOR,
    FAR,
    GHOSTS,
    HUB_CELL,
    JUNCTION,
    LOAD,
    MI_DIRTY,
    MI_EXPLORED,
    MI_HUB,
    MI_STEP,
    MI_STOCK,
    MI_THINGS,
    MINE,
    MINER,
    NEUTRAL,
    NONE,
    OURS,
    PATROL,
    PL_BALANCE,
    PL_CLAIM,
    PL_DEPOT,
    PL_EXPLORE,
    PL_HOME,
    PL_PART,
    PL_PATROL,
    PL_RATE,
    PL_RIVAL,
    PL_SLACK,
    Q_CLEAN,
    Q_FRIENDLY,
    Q_HOMEWARD,
    Q_OUTSIDE,
    Q_UNKNOWN,
    SCRAMBLE,
    SCRAMBLER,
    STATION,
    TEAM_JUNCTION,
    TH_AVOID,
    TH_CELL,
    TH_CLAIM,
    TH_HOME,
    TH_KIND,
    TH_OWNER,
    TH_SEEN,
    TH_STOCK,
    THEIRS,
)  # fmt: skip
from metta.policy.scripted.needs import MARGIN, can_load, can_pay, capacity, cargo, magazine, supply, walk
from metta.policy.scripted.search import offer, offer_cell, offer_place

SETTLED = 400  # step until which the slack grows
KEPT = 4  # elements that an agent without miner gear can carry
LATER = 200  # penalty of what can wait
ENOUGH = 2  # hearts worth coming to the hub for
AT_HUB = 3  # steps from the hub within which one sees what it gives
MOST_WORTH = 30  # of a junction as a depot


@kernel
def _claims(s, m, members, g):
    """Note what the others are about to do: targets taken, extractor units spoken for, elements on their way."""
    for i in range(s.minds[m, MI_THINGS]):
        s.things[m, i, TH_CLAIM] = 0
    for e in range(4):
        s.flow[e] = s.minds[m, MI_STOCK + e]
    for b in members:
        if s.agents[b, AG_MIND] != m:
            continue
        room = capacity(s, b)
        for e in range(4):
            s.flow[e] += s.agents[b, AG_ELEMENT + e]
            room -= s.agents[b, AG_ELEMENT + e]
        i = s.agents[b, AG_TARGET]
        if b == g or i < 0:
            continue
        if s.agents[b, AG_TASK] == MINE:
            s.things[m, i, TH_CLAIM] += room
            s.flow[max(0, s.things[m, i, TH_KIND] - EXTRACTOR)] += room
        elif s.agents[b, AG_TASK] in (ALIGN, SCRAMBLE, PATROL):
            s.things[m, i, TH_CLAIM] = 1


@kernel
def _rivalry(s, m, members, g, cell):
    """By how many steps another aligner with hearts is nearer to a cell."""
    mine = distance(s.agents[g, AG_CELL], cell)
    nearest = mine
    for b in members:
        if b != g and s.agents[b, AG_MIND] == m and s.agents[b, AG_GEAR] == ALIGNER and s.agents[b, AG_HEART] > 0:
            nearest = min(nearest, distance(s.agents[b, AG_CELL], cell))
    return mine - nearest


@kernel
def _offer_patrol(t, s, m, i, base):
    """Offer a look at a junction not seen for long."""
    age = s.minds[m, MI_STEP] - s.things[m, i, TH_SEEN]
    offer(s, i, base + max(0, t.plan[PL_PATROL] - age))


@kernel
def _offer_miner(t, s, m, g):
    """Extractors by distance, way home and shortage of their element; depots by how full the cargo is."""
    if s.minds[m, MI_DIRTY]:
        find_homes(s, m)
    room = capacity(s, g) - cargo(s, g)
    slack = t.plan[PL_SLACK] * min(s.minds[m, MI_STEP], SETTLED) // 100
    least = s.flow[0]
    for e in range(1, 4):
        least = min(least, s.flow[e])
    for i in range(s.minds[m, MI_THINGS]):
        kind = s.things[m, i, TH_KIND]
        if s.things[m, i, TH_AVOID] > s.minds[m, MI_STEP]:
            continue
        if kind >= EXTRACTOR:
            left = s.things[m, i, TH_STOCK] - s.things[m, i, TH_CLAIM]
            if room > 0 and left > 0:
                surplus = max(0, s.flow[kind - EXTRACTOR] - least - slack) * t.plan[PL_BALANCE] // 10
                offer(s, i, t.plan[PL_HOME] * s.things[m, i, TH_HOME] + surplus + max(0, room - left) // 2)
        elif is_source(kind) and s.things[m, i, TH_OWNER] == OURS and room < capacity(s, g):
            offer(s, i, room * t.plan[PL_PART] // 10)


@kernel
def _promised(t, s, m, members, g, steps):
    """Hearts that other agents will load who are at the hub within so many steps."""
    total = 0
    for b in members:
        loads = b != g and s.agents[b, AG_MIND] == m and s.agents[b, AG_TASK] == LOAD
        if loads and s.agents[b, AG_LENGTH] - s.agents[b, AG_AT] <= steps:
            total += max(1, t.plan[PL_CLAIM] - s.agents[b, AG_HEART])
    return total


@kernel
def _wait_for_hearts(t, s, m, members, g, away):
    """Steps that an agent would stand at the hub until enough hearts are there, if it went now."""
    miners = 0
    for b in members:
        miners += s.agents[b, AG_MIND] == m and s.agents[b, AG_ROLE] == MINER
    pace = max(1, t.plan[PL_RATE] // max(1, miners))
    there = supply(s, m) + away // pace - _promised(t, s, m, members, g, away)
    return max(0, ENOUGH - there) * pace


@kernel
def _offer_hearts(t, s, m, members, g):
    """The hub, to an aligner without hearts from wherever it is, to others as long as some are left for them."""
    hearts, away = s.agents[g, AG_HEART], distance(s.agents[g, AG_CELL], HUB_CELL)
    ready = supply(s, m)
    if s.minds[m, MI_HUB] == 0 or not can_load(s, g, magazine(t, s, g)) or (away <= AT_HUB and ready <= 0):
        return False
    if hearts == 0:
        offer(s, s.minds[m, MI_HUB] - 1, 4 + 2 * _wait_for_hearts(t, s, m, members, g, away))
        return True
    if away > AT_HUB and ready <= _promised(t, s, m, members, g, FAR):
        return False
    offer(s, s.minds[m, MI_HUB] - 1, 4 + 2 * hearts)
    return True


@kernel
def _offer_aligner(t, s, m, members, g):
    """Neutral junctions, hearts, junctions not seen for long; returns the penalty of unknown cells."""
    able = s.agents[g, AG_HEART] > 0 and s.agents[g, AG_INFLUENCE] > 0
    hearts = _offer_hearts(t, s, m, members, g)
    if s.minds[m, MI_DIRTY]:
        find_homes(s, m)
    for i in range(s.minds[m, MI_THINGS]):
        kind, owner = s.things[m, i, TH_KIND], s.things[m, i, TH_OWNER]
        if (kind != JUNCTION and kind != TEAM_JUNCTION) or s.things[m, i, TH_CLAIM]:
            continue
        if s.things[m, i, TH_AVOID] > s.minds[m, MI_STEP]:
            continue
        if owner == NEUTRAL and able:
            rival = _rivalry(s, m, members, g, s.things[m, i, TH_CELL])
            worth = min(s.things[m, i, TH_HOME] * t.plan[PL_DEPOT] // 10, MOST_WORTH)
            offer(s, i, rival * t.plan[PL_RIVAL] // 10 - worth + (40 if kind == TEAM_JUNCTION else 0))
        elif owner == OURS:
            _offer_patrol(t, s, m, i, LATER if able or hearts else 60)
    if s.agents[g, AG_HEART] == 0:
        s.query[Q_HOMEWARD] = 2 if hearts else 0  # look around on the way home, as far as waiting would take
        return 0
    return t.plan[PL_EXPLORE]


@kernel
def _offer_scrambler(t, s, m, g):
    """Junctions of the clips, known or suspected; else hearts, and junctions not seen for long.

    Returns the penalty of unknown cells.
    """
    armed, busy = s.agents[g, AG_HEART] > 0, False
    for slot in range(GHOSTS):
        if armed and s.ghosts[m, slot, 0] > 0:
            offer_cell(s, s.ghosts[m, slot, 0])
            busy = True
    for i in range(s.minds[m, MI_THINGS]):
        kind, owner = s.things[m, i, TH_KIND], s.things[m, i, TH_OWNER]
        if (kind != JUNCTION and kind != TEAM_JUNCTION) or s.things[m, i, TH_CLAIM]:
            continue
        if owner == THEIRS and armed and s.things[m, i, TH_AVOID] <= s.minds[m, MI_STEP]:
            offer(s, i, 0)
            busy = True
    for i in range(s.minds[m, MI_THINGS]):
        kind, owner = s.things[m, i, TH_KIND], s.things[m, i, TH_OWNER]
        if (kind in (JUNCTION, TEAM_JUNCTION)) and owner != THEIRS and s.things[m, i, TH_CLAIM] == 0:
            _offer_patrol(t, s, m, i, LATER if busy or not armed else 20)
    if can_load(s, g, magazine(t, s, g)) and s.minds[m, MI_HUB] and supply(s, m) > 0:
        offer(s, s.minds[m, MI_HUB] - 1, 60 * s.agents[g, AG_HEART])
    return LATER if busy or not armed else 10


@kernel
def offer_work(t, s, m, members, g):
    """Everything that the agent's gear is good for. The limit is how far it may go beyond friendly areas."""
    gear = s.agents[g, AG_GEAR]
    _claims(s, m, members, g)
    ticks = (s.agents[g, AG_HP] - MARGIN) // 2
    unknown = 0
    if gear == MINER:
        _offer_miner(t, s, m, g)
        unknown = 120
    elif gear == ALIGNER:
        unknown = _offer_aligner(t, s, m, members, g)
        s.query[Q_CLEAN] = 1
        if s.agents[g, AG_HEART] > 0:
            ticks = min(s.agents[g, AG_HP] - MARGIN, max(s.agents[g, AG_INFLUENCE] - 1, 0))
    elif gear == SCRAMBLER:
        unknown = _offer_scrambler(t, s, m, g)
    s.query[Q_OUTSIDE] = walk(s, g, ticks)
    if s.minds[m, MI_STEP] >= s.minds[m, MI_EXPLORED] and unknown < FAR:
        offer_place(s, Q_UNKNOWN, unknown)
    if s.friend[m, s.agents[g, AG_CELL]] == 0:
        offer_place(s, Q_FRIENDLY, 200)


@kernel
def offer_gear(s, m, g):
    """The station of the agent's role, if the team can pay; a depot for what it carries first."""
    role = s.agents[g, AG_ROLE]
    if role == NONE or role == s.agents[g, AG_GEAR] or not can_pay(s, m, role):
        return
    loaded = cargo(s, g) > KEPT  # another gear would lose it
    for i in range(s.minds[m, MI_THINGS]):
        kind = s.things[m, i, TH_KIND]
        if kind == STATION + role - 1 and not loaded:
            offer(s, i, 0)
        elif loaded and is_source(kind) and s.things[m, i, TH_OWNER] == OURS:
            offer(s, i, distance(s.things[m, i, TH_CELL], HUB_CELL))
