"""What an agent has, what the team can pay, and how far an agent may go (rules 1, 11)."""

from metta.policy.scripted.areas import distance, is_source
from metta.policy.scripted.compiled import kernel
from metta.policy.scripted.layout import (
    AG_CELL,
    AG_ELEMENT,
    AG_ENERGY,
    AG_GEAR,
    AG_HEART,
    AG_HP,
    AG_INFLUENCE,
    AG_MIND,
    AG_MOST,
    AG_SOLAR,
    ALIGNER,
    MI_HUB,
    MI_STEP,
    MI_STOCK,
    MI_THINGS,
    MINER,
    OURS,
    PL_LOAD,
    RADIUS,
    SCRAMBLER,
    SIZE,
    TH_CELL,
    TH_KIND,
    TH_OWNER,
    TH_STOCK,
)  # fmt: skip

MOVE_COST = 4
HEART_COST = 10
CAPACITY = 40  # elements that a miner carries
GEAR_PRICE, SIGNATURE_PRICE = 1, 3
SIGNATURE = (1, 0, 2, 3)  # element of which a gear takes three: aligner carbon, scrambler oxygen, …
MAGAZINE, RICH = 2, 250  # hearts that a scrambler loads, and the step from which it loads one more
OPENING, FIRST_LOAD = 60, 3  # step until which an aligner loads no more than so many
HALF_DAY = 100  # steps
DAY_AND_NIGHT = 4  # energy of a tick by day and one by night
MARGIN = 8  # hp kept when going home


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
def can_load(s, g, wanted):
    """May the hub give this agent one more of `wanted` hearts?"""
    hearts, most = s.agents[g, AG_HEART], s.agents[g, AG_MOST]
    return hearts < wanted and (most == 0 or hearts < most)


@kernel
def magazine(t, s, g):
    """Hearts that an agent loads: few while the first ones must do for all."""
    step = s.minds[s.agents[g, AG_MIND], MI_STEP]
    if s.agents[g, AG_GEAR] == SCRAMBLER:
        return MAGAZINE + (step > RICH)
    return min(t.plan[PL_LOAD], FIRST_LOAD) if step < OPENING else t.plan[PL_LOAD]


@kernel
def capacity(s, g):
    return CAPACITY if s.agents[g, AG_GEAR] == MINER else 4


@kernel
def walk(s, g, ticks):
    """Moves possible outside friendly areas in so many ticks, night to come included (rules 6, 11.10)."""
    light = min(ticks, HALF_DAY - s.minds[s.agents[g, AG_MIND], MI_STEP] % HALF_DAY)
    energy = s.agents[g, AG_ENERGY] + s.agents[g, AG_SOLAR] * light + max(0, ticks - light)
    return max(0, min(ticks, energy // MOVE_COST))


@kernel
def _ticks_for(s, g, energy):
    """Ticks in which the sun gives that much energy: by day it gives three, by night one."""
    left = HALF_DAY - s.minds[s.agents[g, AG_MIND], MI_STEP] % HALF_DAY
    now = max(1, s.agents[g, AG_SOLAR])
    if energy <= now * left:
        return energy // now
    return left + (energy - now * left) // max(1, DAY_AND_NIGHT - now)


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
    ticks = max(steps, _ticks_for(s, g, MOVE_COST * steps - s.agents[g, AG_ENERGY]))
    return s.agents[g, AG_HP] <= ticks * (1 + s.enemy[m, cell]) + MARGIN
