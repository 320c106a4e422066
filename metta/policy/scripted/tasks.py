"""What an agent does next: its gear offers it several things, one search picks the best (rules 4, 5)."""

from metta.policy.scripted.areas import distance, is_source
from metta.policy.scripted.compiled import kernel
from metta.policy.scripted.layout import (
    AG_AT,
    AG_CELL,
    AG_CHOSEN,
    AG_ELEMENT,
    AG_ENERGY,
    AG_GEAR,
    AG_GOAL,
    AG_HEART,
    AG_HP,
    AG_INFLUENCE,
    AG_LENGTH,
    AG_MIND,
    AG_ROLE,
    AG_SOLAR,
    AG_STUCK,
    AG_TARGET,
    AG_TASK,
    ALIGN,
    ALIGNER,
    DEPOSIT,
    EXPLORE,
    EXTRACTOR,
    FAR,
    GEAR,
    GHOSTS,
    HUB,
    HUB_CELL,
    IDLE,
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
    PL_LOAD,
    PL_PART,
    PL_PATROL,
    PL_REVIEW,
    PL_RIVAL,
    PL_SLACK,
    PL_WORTH,
    Q_CELL,
    Q_CLEAN,
    Q_FRIENDLY,
    Q_OUTSIDE,
    Q_UNKNOWN,
    RADIUS,
    RETREAT,
    SCRAMBLE,
    SCRAMBLER,
    SEEK,
    SIZE,
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
    UNKNOWN,
)  # fmt: skip
from metta.policy.scripted.areas import find_homes
from metta.policy.scripted.search import no_offers, offer, offer_cell, offer_place, search

MOVE_COST = 4
HEART_COST = 10
CAPACITY = 40  # elements that a miner carries
GEAR_PRICE, SIGNATURE_PRICE = 1, 3
SIGNATURE = (1, 0, 2, 3)  # element of which a gear takes three: aligner carbon, scrambler oxygen, …
RETRY = 4  # steps before an idle agent looks again
GIVE_UP = 6  # failed steps after which a target is left alone
AVOID_STEPS = 25
SETTLED = 400  # step until which the slack grows
MARGIN = 8  # hp kept when going home
LATER = 200  # penalty of what can wait
MOST_WORTH = 30  # of a junction as a depot


@kernel
def supply(s, m):
    """Hearts that the hub can give now."""
    if s.minds[m, MI_HUB] == 0:
        return 0
    least = s.minds[m, MI_STOCK]
    for e in range(1, 4):
        least = min(least, s.minds[m, MI_STOCK + e])
    return s.things[m, s.minds[m, MI_HUB] - 1, TH_STOCK] + least // HEART_COST


@kernel
def can_pay(s, m, gear):
    """Has the team the elements for a piece of gear (1 + index)?"""
    for e in range(4):
        if s.minds[m, MI_STOCK + e] < (SIGNATURE_PRICE if SIGNATURE[gear - 1] == e else GEAR_PRICE):
            return False
    return True


@kernel
def cargo(s, g):
    total = 0
    for e in range(4):
        total += s.agents[g, AG_ELEMENT + e]
    return total


@kernel
def capacity(s, g):
    return CAPACITY if s.agents[g, AG_GEAR] == MINER else 4


@kernel
def walk(s, g, ticks):
    """Moves possible outside friendly areas in so many ticks (rules 11.10)."""
    return max(0, min(ticks, (s.agents[g, AG_ENERGY] + s.agents[g, AG_SOLAR] * ticks) // MOVE_COST))


@kernel
def way_home(s, g):
    """Steps to the nearest friendly area, as the crow walks."""
    m, cell = s.agents[g, AG_MIND], s.agents[g, AG_CELL]
    best = SIZE
    for i in range(s.minds[m, MI_THINGS]):
        if s.things[m, i, TH_OWNER] == OURS and is_source(s.things[m, i, TH_KIND]):
            best = min(best, distance(cell, s.things[m, i, TH_CELL]))
    return max(1, best - RADIUS + 2)


@kernel
def is_powerless(s, g):
    """An aligner with hearts but without influence."""
    return s.agents[g, AG_GEAR] == ALIGNER and s.agents[g, AG_INFLUENCE] == 0 and s.agents[g, AG_HEART] > 0


@kernel
def in_danger(s, g):
    """Is it high time to go home?"""
    m = s.agents[g, AG_MIND]
    cell = s.agents[g, AG_CELL]
    if is_powerless(s, g):
        return s.friend[m, cell] == 0 or s.enemy[m, cell] > 0
    if s.friend[m, cell] > 0:
        return False
    if s.agents[g, AG_HP] > 80:
        return False
    steps = way_home(s, g)
    missing = MOVE_COST * steps - s.agents[g, AG_ENERGY]
    ticks = max(steps, missing // max(1, s.agents[g, AG_SOLAR]))
    return s.agents[g, AG_HP] <= ticks * (1 + s.enemy[m, cell]) + MARGIN


@kernel
def is_valid(t, s, g):
    """Is the present task still worth doing?"""
    m, task, i = s.agents[g, AG_MIND], s.agents[g, AG_TASK], s.agents[g, AG_TARGET]
    age = s.minds[m, MI_STEP] - s.agents[g, AG_CHOSEN]
    if task == IDLE:
        return age < RETRY
    if task == RETREAT:
        return s.friend[m, s.agents[g, AG_CELL]] == 0 or is_powerless(s, g)
    if task == EXPLORE:
        return s.at[m, s.agents[g, AG_GOAL]] == UNKNOWN and age < t.plan[PL_REVIEW]
    if task == SEEK:
        return age < t.plan[PL_REVIEW]
    if i < 0:
        return False
    owner, near = s.things[m, i, TH_OWNER], s.agents[g, AG_LENGTH] - s.agents[g, AG_AT] <= 3
    if task == GEAR:
        role = s.agents[g, AG_ROLE]
        return s.agents[g, AG_GEAR] != role and s.things[m, i, TH_KIND] == STATION + role - 1 and can_pay(s, m, role)
    if task == LOAD:
        most = 2 if s.agents[g, AG_GEAR] == SCRAMBLER else t.plan[PL_LOAD]
        return s.agents[g, AG_HEART] < most and supply(s, m) > 0 and (near or age < 4 * t.plan[PL_REVIEW])
    if task == ALIGN:
        able = s.agents[g, AG_HEART] > 0 and s.agents[g, AG_INFLUENCE] > 0 and s.agents[g, AG_GEAR] == ALIGNER
        return able and owner == NEUTRAL and (near or age < t.plan[PL_REVIEW])
    if task == SCRAMBLE:
        return owner == THEIRS and s.agents[g, AG_HEART] > 0 and s.agents[g, AG_GEAR] == SCRAMBLER
    if task == MINE:
        return s.things[m, i, TH_KIND] >= EXTRACTOR and s.things[m, i, TH_STOCK] > 0 and cargo(s, g) < capacity(s, g)
    if task == DEPOSIT:
        return owner == OURS and cargo(s, g) > 0
    return s.things[m, i, TH_SEEN] <= s.agents[g, AG_CHOSEN] and age < 3 * t.plan[PL_REVIEW]


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
def promised(t, s, m, members, g):
    """Hearts that other agents are on their way to load."""
    total = 0
    for b in members:
        if b != g and s.agents[b, AG_MIND] == m and s.agents[b, AG_TASK] == LOAD:
            total += max(1, t.plan[PL_CLAIM] - s.agents[b, AG_HEART])
    return total


@kernel
def _offer_hearts(t, s, m, members, g):
    """The hub, as long as there are hearts for this agent; returns whether there are."""
    hearts = s.agents[g, AG_HEART]
    if s.minds[m, MI_HUB] == 0 or hearts >= t.plan[PL_LOAD]:
        return False
    near = distance(s.agents[g, AG_CELL], HUB_CELL) <= 3
    if supply(s, m) <= (0 if near else t.plan[PL_WORTH] + promised(t, s, m, members, g)):
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
        return FAR if hearts else 0
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
        if (kind == JUNCTION or kind == TEAM_JUNCTION) and owner != THEIRS and s.things[m, i, TH_CLAIM] == 0:
            _offer_patrol(t, s, m, i, LATER if busy or not armed else 20)
    if s.agents[g, AG_HEART] < 2 and s.minds[m, MI_HUB] and supply(s, m) > 0:
        offer(s, s.minds[m, MI_HUB] - 1, 20 * s.agents[g, AG_HEART])
    return LATER if busy or not armed else 10


@kernel
def _offer_work(t, s, m, members, g):
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
    if not s.minds[m, MI_EXPLORED] and unknown < FAR:
        offer_place(s, Q_UNKNOWN, unknown)
    if s.friend[m, s.agents[g, AG_CELL]] == 0:
        offer_place(s, Q_FRIENDLY, 200)


@kernel
def _task_of(s, m, g, i, cell):
    """Which task a found offer is."""
    if i < 0:
        if cell == s.query[Q_CELL]:
            return SEEK
        return EXPLORE if s.at[m, cell] == UNKNOWN else RETREAT
    kind, owner = s.things[m, i, TH_KIND], s.things[m, i, TH_OWNER]
    if kind >= EXTRACTOR:
        return MINE
    if kind >= STATION:
        return GEAR
    if s.agents[g, AG_GEAR] == MINER or (kind == HUB and cargo(s, g) > 0):
        return DEPOSIT
    if kind == HUB:
        return LOAD
    if s.agents[g, AG_GEAR] == ALIGNER and owner == NEUTRAL:
        return ALIGN
    return SCRAMBLE if owner == THEIRS else PATROL


@kernel
def _take(s, g, task, i, cell, length):
    m = s.agents[g, AG_MIND]
    s.agents[g, AG_TASK], s.agents[g, AG_TARGET], s.agents[g, AG_GOAL] = task, i, cell
    s.agents[g, AG_LENGTH], s.agents[g, AG_AT] = max(0, length), 0
    s.agents[g, AG_CHOSEN] = s.minds[m, MI_STEP]
    s.agents[g, AG_STUCK] = 0


@kernel
def _offer_gear(s, m, g):
    """The station of the agent's role, if the team can pay."""
    role = s.agents[g, AG_ROLE]
    if role == NONE or role == s.agents[g, AG_GEAR] or not can_pay(s, m, role):
        return
    for i in range(s.minds[m, MI_THINGS]):
        if s.things[m, i, TH_KIND] == STATION + role - 1:
            offer(s, i, 0)


@kernel
def choose(t, s, members, g):
    """Give an agent its next task and the way there."""
    m = s.agents[g, AG_MIND]
    count = s.minds[m, MI_THINGS]
    no_offers(s, m, count)
    if in_danger(s, g):
        offer_place(s, Q_FRIENDLY, 0)
        s.query[Q_CLEAN] = is_powerless(s, g)
    else:
        _offer_gear(s, m, g)
    i, cell, length = search(s, g)
    if length < 0:
        no_offers(s, m, count)
        _offer_work(t, s, m, members, g)
        i, cell, length = search(s, g)
        exhausted = length < 0 and s.query[Q_UNKNOWN] < FAR and s.query[Q_OUTSIDE] >= RADIUS
        if exhausted and s.friend[m, s.agents[g, AG_CELL]] > 0:
            s.minds[m, MI_EXPLORED] = 1
    if length < 0:
        _take(s, g, IDLE, -1, s.agents[g, AG_CELL], 0)
    else:
        _take(s, g, _task_of(s, m, g, i, cell), i, cell, length)


@kernel
def give_up(s, g):
    """Leave a target alone for a while after too many failures."""
    m, i = s.agents[g, AG_MIND], s.agents[g, AG_TARGET]
    if s.agents[g, AG_STUCK] >= GIVE_UP and i >= 0:
        s.things[m, i, TH_AVOID] = s.minds[m, MI_STEP] + AVOID_STEPS
