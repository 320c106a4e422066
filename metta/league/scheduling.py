"""Which matches a pool is to play next: those that tell most.

First come policies of which the fewest matches are played or under way, then those whose interval is widest; their
partner is whom they have met least, of those again the one that is due first. Who has all its matches is asked as if it
had been met once more: a newcomer still meets everybody, and where others lack matches too, mostly those. The match of
a certain number of a policy has the same mission, seats and seeds whoever it is, so that all are compared on the same.
A match that failed is none: another takes its place, with whoever is then due.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from metta.common.seeds import derive
from metta.league.records import Lineup, Pool

CANDIDATES = 64  # partners that are looked at: those who are due first
Key = tuple[int, float, int, str]
Seating = tuple[tuple[bool, int, str | None], ...]  # whether it is the policy's own, seats, team
Met = Callable[[str], Mapping[str, int]]  # how often a policy has met others, or is about to


def plan(pool: Pool, most: int, met: Met | None = None) -> list[Lineup]:
    """At most so many further line-ups, those first that tell most. The same input gives the same line-ups. `met` is
    asked of few policies; by default it is what the results and the pending matches of the pool say."""
    queue, lineups = _Queue(pool, met or met_in(pool)), []
    while len(lineups) < most and (lineup := queue.take()):
        lineups.append(lineup)
    return lineups


def met_in(pool: Pool) -> Met:
    """Who has met whom in the results and the pending matches of a pool."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for lineup in (*(result.lineup for result in pool.results), *pool.pending):
        players = set(lineup.policies)
        for player in players:
            found[player].update(players - {player})
    return found.__getitem__


class _Queue:
    """Policies in the order in which they are due."""

    def __init__(self, pool: Pool, met: Met) -> None:
        active = [entrant for entrant in pool.entrants if entrant.active]
        self._pool = pool
        self._planned = {entrant.policy: entrant.completed + entrant.pending for entrant in active}
        self._failed = {entrant.policy: entrant.failed for entrant in active}
        self._tie = {policy: derive(pool.seed, "due", policy) for policy in self._planned}
        self._heap = [self._key(policy) for policy in self._planned]
        heapq.heapify(self._heap)
        self._met = cache(met)
        self._new: Counter[frozenset[str]] = Counter()  # of the line-ups that are planned now

    def _key(self, policy: str) -> Key:
        tries = self._planned[policy] + self._failed[policy]  # who makes matches fail lets the others go first
        return tries, -self._pool.widths.get(policy, float("inf")), self._tie[policy], policy

    def take(self) -> Lineup | None:
        """The next match, if anybody has one left to play."""
        taken: list[Key] = []
        while self._heap:
            taken.append(heapq.heappop(self._heap))
            policy = taken[-1][-1]
            if self._planned[policy] < self._pool.matches:
                break
        else:
            return None
        partner = self._partner(policy, taken) if self._pool.partners == "pool" else None
        lineup = _lineup(self._pool, self._planned[policy], policy, partner)
        players = frozenset(lineup.policies)
        for player in players:
            self._planned[player] += 1
        self._new[players] += 1
        for key in taken:
            heapq.heappush(self._heap, self._key(key[-1]))
        return lineup

    def _partner(self, policy: str, taken: list[Key]) -> str | None:
        """Who plays with a policy, if anybody else is there; keys that are looked at are added to those taken."""
        taken += [heapq.heappop(self._heap) for _ in range(min(CANDIDATES, len(self._heap)))]
        others = [key for key in taken if key[-1] != policy]
        best = min(others, key=lambda key: (self._reluctance(policy, key[-1]), key), default=None)
        return None if best is None else best[-1]

    def _reluctance(self, policy: str, partner: str) -> int:
        """Matches of the two, those that the partner has made fail, with whomever, and one where it needs no more."""
        met = self._met(policy).get(partner, 0) + self._new[frozenset((policy, partner))]
        return met + self._failed[partner] + (self._planned[partner] >= self._pool.matches)


def _lineup(pool: Pool, number: int, policy: str, partner: str | None) -> Lineup:
    """The match of that number of a policy."""
    turn, place = divmod(number, len(pool.missions))
    mission = list(pool.missions)[place]
    seatings = _alone(pool, mission) if partner is None else _shared(pool, mission)
    turn, place = divmod(turn, len(seatings))
    first = pool.seed + turn * pool.episodes
    seeds = tuple(range(first, first + pool.episodes))
    own, seats, teams = zip(*seatings[place], strict=True)
    policies = tuple(policy if its or partner is None else partner for its in own)
    return Lineup(mission, policies, seats, seeds, seeds, teams if None not in teams else ())


def _alone(pool: Pool, mission: str) -> Sequence[Seating]:
    return [((True, pool.missions[mission], None),)]


def _shared(pool: Pool, mission: str) -> Sequence[Seating]:
    """How a policy and a partner share a mission: of several teams it has a whole one, each in turn; else the numbers
    of seats that the pool names, or every one but none and all, halves first."""
    seats, teams = pool.missions[mission], pool.teams.get(mission, {})
    if len(teams) > 1:
        return [tuple((team == own, size, team) for team, size in teams.items()) for own in teams]
    numbers = [number for number in dict.fromkeys(pool.own_seats or range(1, seats)) if 0 < number < seats]
    numbers.sort(key=lambda number: (abs(2 * number - seats), number))
    shared = [((True, number, None), (False, seats - number, None)) for number in numbers]
    return [*shared, *(_alone(pool, mission) if seats in pool.own_seats or not shared else [])]
