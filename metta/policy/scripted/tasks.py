"""What an agent is doing: whether it is still worth it, and what comes next."""

from metta.policy.scripted.compiled import kernel
from metta.policy.scripted.layout import (
    AG_AT,
    AG_CELL,
    AG_CHOSEN,
    AG_GEAR,
    AG_GOAL,
    AG_HEART,
    AG_INFLUENCE,
    AG_LENGTH,
    AG_MIND,
    AG_ROLE,
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
    HUB,
    IDLE,
    LOAD,
    MI_EXPLORED,
    MI_STEP,
    MI_THINGS,
    MINE,
    MINER,
    NEUTRAL,
    OURS,
    PATROL,
    PL_REVIEW,
    Q_CELL,
    Q_CLEAN,
    Q_FRIENDLY,
    Q_OUTSIDE,
    Q_SWEPT,
    Q_UNKNOWN,
    RADIUS,
    RETREAT,
    SCRAMBLE,
    SCRAMBLER,
    SEEK,
    STATION,
    TH_AVOID,
    TH_KIND,
    TH_OWNER,
    TH_SEEN,
    TH_STOCK,
    THEIRS,
    UNKNOWN,
)  # fmt: skip
from metta.policy.scripted.needs import can_load, can_pay, capacity, cargo, in_danger, is_powerless, magazine, supply
from metta.policy.scripted.offers import offer_gear, offer_work
from metta.policy.scripted.search import no_offers, offer_place, search

RETRY = 4  # steps before an idle agent looks again
GIVE_UP = 6  # failed steps after which a target is left alone
AVOID_STEPS = 25
SWEPT = 120  # cost up to which a search without unknown cells tells that there are none near
LOOK_AGAIN = 15  # steps without exploring after a search that found nothing unknown


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
        hopeful = supply(s, m) > 0 or (s.agents[g, AG_HEART] == 0 and not near)
        return can_load(s, g, magazine(t, s, g)) and hopeful and (near or age < 4 * t.plan[PL_REVIEW])
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
def must_flee(s, g):
    """Should a miner, who stays in one place for long, leave its work for safety?"""
    return s.agents[g, AG_GEAR] == MINER and s.agents[g, AG_TASK] == MINE and in_danger(s, g)


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
def choose(t, s, members, g):
    """Give an agent its next task and the way there."""
    m = s.agents[g, AG_MIND]
    count = s.minds[m, MI_THINGS]
    no_offers(s, m, count)
    if in_danger(s, g):
        offer_place(s, Q_FRIENDLY, 0)
        s.query[Q_CLEAN] = is_powerless(s, g)
    else:
        offer_gear(s, m, g)
    i, cell, length = search(s, g)
    if length < 0:
        no_offers(s, m, count)
        offer_work(t, s, m, members, g)
        i, cell, length = search(s, g)
        far = length < 0 or s.query[Q_SWEPT] >= SWEPT
        if far and s.query[Q_UNKNOWN] < FAR and s.query[Q_SWEPT] >= 0 and s.query[Q_OUTSIDE] >= RADIUS:
            s.minds[m, MI_EXPLORED] = s.minds[m, MI_STEP] + LOOK_AGAIN  # or agents in the way hid the rest
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
