"""One search for everything: the cheapest way to the best of several offers (Dial, 1969: buckets instead of a heap).

A step costs 2 inside a friendly area, where energy is free; more outside, by the sun. Each thing may carry an offer, a
penalty in the same unit; the search ends as soon as nothing farther can be better.
"""

from metta.policy.scripted.areas import distance
from metta.policy.scripted.compiled import kernel
from metta.policy.scripted.layout import (
    AG_CELL,
    AG_MIND,
    AG_SOLAR,
    BUCKETS,
    FAR,
    HUB_CELL,
    NODES,
    PATH,
    Q_CELL,
    Q_CLEAN,
    Q_COUNT,
    Q_FRIENDLY,
    Q_HOMEWARD,
    Q_LOW,
    Q_OUTSIDE,
    Q_SWEPT,
    Q_UNKNOWN,
    STEPS,
    THING,
    UNKNOWN,
    WALL,
)  # fmt: skip

STEP = 2  # cost of a step inside a friendly area
DAY, NIGHT = 3, 5  # cost of a step outside
ENEMY_COST, UNKNOWN_COST = 3, 1
NEAR = 6  # cost within which agents stand in the way; farther ones will have moved


@kernel
def no_offers(s, m, count):
    """Begin a query that looks for nothing."""
    for i in range(count):
        s.offers[i] = FAR
    s.query[Q_UNKNOWN] = s.query[Q_FRIENDLY] = s.query[Q_LOW] = FAR
    s.query[Q_CELL] = -1
    s.query[Q_OUTSIDE] = FAR
    s.query[Q_CLEAN] = s.query[Q_COUNT] = s.query[Q_HOMEWARD] = 0


@kernel
def offer(s, i, penalty):
    """Offer thing `i`."""
    s.offers[i] = penalty
    s.query[Q_LOW] = min(s.query[Q_LOW], penalty)
    s.query[Q_COUNT] += 1


@kernel
def offer_place(s, which, penalty):
    """Offer unknown cells (Q_UNKNOWN) or friendly ones (Q_FRIENDLY)."""
    s.query[which] = penalty
    s.query[Q_LOW] = min(s.query[Q_LOW], penalty)
    s.query[Q_COUNT] += 1


@kernel
def offer_cell(s, cell):
    s.query[Q_CELL] = cell
    s.query[Q_LOW] = 0
    s.query[Q_COUNT] += 1


@kernel
def _push(s, used, cell, cost):
    s.node[used, 0] = cell
    s.node[used, 1] = s.heads[cost % BUCKETS]
    s.heads[cost % BUCKETS] = used
    return used + 1


@kernel
def _place_penalty(s, m, cell):
    """Penalty of ending on a cell itself; FAR if that is not looked for."""
    penalty = FAR
    if s.at[m, cell] == UNKNOWN:
        penalty = s.query[Q_UNKNOWN] + s.query[Q_HOMEWARD] * distance(cell, HUB_CELL)
    if s.friend[m, cell] > 0 and (s.query[Q_CLEAN] == 0 or s.enemy[m, cell] == 0):
        penalty = min(penalty, s.query[Q_FRIENDLY])
    if cell == s.query[Q_CELL]:
        penalty = 0
    return penalty


@kernel
def _step_cost(s, m, cell, outside_cost):
    cost = STEP if s.friend[m, cell] > 0 else outside_cost
    if s.enemy[m, cell] > 0:
        cost += ENEMY_COST
    if s.at[m, cell] == UNKNOWN:
        cost += UNKNOWN_COST
    return cost


@kernel
def search(s, g):
    """Find the best offer and write the way there to `paths`.

    Returns (thing, cell, length): thing -1 for a place; cell is where it lies; length -1 when nothing was found.
    """
    if s.query[Q_COUNT] == 0:
        return -1, -1, -1
    m, start = s.agents[g, AG_MIND], s.agents[g, AG_CELL]
    outside_cost = DAY if s.agents[g, AG_SOLAR] >= 3 else NIGHT
    low, limit, clean = s.query[Q_LOW], s.query[Q_OUTSIDE], s.query[Q_CLEAN]
    s.counter[0] += 1
    version = s.counter[0]
    s.heads[:] = -1
    s.dist[start], s.outside[start], s.stamp[start], s.parent[start] = 0, 0, version, 0
    used, waiting, cost = _push(s, 0, start, 0), 1, 0
    best, from_cell, last, thing = FAR, -1, 0, -1
    met = False
    while waiting > 0 and cost + low < best:
        top = s.heads[cost % BUCKETS]
        if top < 0:
            cost += 1
            continue
        u = s.node[top, 0]
        s.heads[cost % BUCKETS] = s.node[top, 1]
        waiting -= 1
        if s.stamp[u] == -version or s.dist[u] != cost:
            continue
        s.stamp[u] = -version
        met |= s.at[m, u] == UNKNOWN
        penalty = _place_penalty(s, m, u)
        if cost + penalty < best and u != start:
            best, from_cell, last, thing = cost + penalty, u, 0, -1
        for move in range(1, 5):
            v = u + STEPS[move]
            code = s.at[m, v]
            if code == WALL:
                continue
            if code >= THING:
                penalty = s.offers[code - THING]
                if cost + penalty < best and (clean == 0 or s.enemy[m, u] == 0):
                    best, from_cell, last, thing = cost + penalty, u, move, code - THING
                continue
            if s.busy[m, v] == 1 and cost <= NEAR:
                continue
            outside = 0 if s.friend[m, v] > 0 else s.outside[u] + 1
            if outside > limit:
                continue
            there = cost + _step_cost(s, m, v, outside_cost)
            known = s.stamp[v] == version or s.stamp[v] == -version
            if (not known or there < s.dist[v]) and used < NODES:
                s.dist[v], s.outside[v], s.stamp[v], s.parent[v] = there, outside, version, move
                used = _push(s, used, v, there)
                waiting += 1
    s.query[Q_SWEPT] = -1 if met else cost
    if best >= FAR:
        return -1, -1, -1
    length = _write_path(s, g, start, from_cell, last)
    return thing, from_cell + STEPS[last], length


@kernel
def _write_path(s, g, start, cell, last):
    """Write the moves from `start` to `cell` and the one into the thing beyond; returns how many are kept."""
    length = 1 if last else 0
    u = cell
    while u != start:
        length += 1
        u -= STEPS[s.parent[u]]
    k = length - 1
    if last:
        if k < PATH:
            s.paths[g, k] = last
        k -= 1
    u = cell
    while u != start:
        if k < PATH:
            s.paths[g, k] = s.parent[u]
        u -= STEPS[s.parent[u]]
        k -= 1
    return min(length, PATH)
