"""Results as numbers: an observation for each episode, and what every policy had to do with it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from metta.league.records import Lineup, Result


@dataclass(frozen=True)
class Observations:
    """Episodes: the mean return of all agents, or of two teams how much more the first has than the second.

    Episodes of one mission on one seed are a block; of two teams, all of one mission. An entry is a policy in an
    episode, with its share of the seats: of its team's, and with a minus in the second of two teams.
    """

    values: np.ndarray  # float64 [episodes]
    blocks: np.ndarray  # int64 [episodes]: number of the block
    matches: np.ndarray  # int64 [episodes]: number of the match
    episodes: np.ndarray  # int64 [entries]
    policies: np.ndarray  # int64 [entries]: number of the policy
    shares: np.ndarray  # float64 [entries]
    count: int  # of policies

    @cached_property
    def block_sizes(self) -> np.ndarray:
        """Episodes of each block, float64 [blocks]."""
        return np.bincount(self.blocks).astype(np.float64)

    def without_blocks(self, values: np.ndarray) -> np.ndarray:
        """Values of episodes, [episodes], less the mean of their block."""
        return values - (np.bincount(self.blocks, values) / self.block_sizes)[self.blocks]

    def seen(self, strengths: np.ndarray) -> np.ndarray:
        """What strengths of policies, [policies], make of the episodes within their block, [episodes]."""
        parts = self.shares * strengths[self.policies]
        return self.without_blocks(np.bincount(self.episodes, parts, len(self.values)))

    def credited(self, values: np.ndarray) -> np.ndarray:
        """Values of episodes, [episodes], summed for the policies by their shares, [policies]."""
        return np.bincount(self.policies, self.shares * values[self.episodes], self.count)

    def table(self) -> np.ndarray:
        """Share of each policy in each episode, less the mean of the block, [episodes, policies]."""
        shares = np.zeros((len(self.values), self.count))
        shares[self.episodes, self.policies] = self.shares
        sums = np.zeros((len(self.block_sizes), self.count))
        np.add.at(sums, (self.blocks[self.episodes], self.policies), self.shares)
        return shares - (sums / self.block_sizes[:, None])[self.blocks]


def observe(results: Sequence[Result], policies: Sequence[str]) -> Observations:
    """All episodes of results, of policies in the order of their numbers."""
    number = {policy: place for place, policy in enumerate(policies)}
    numbers: dict[tuple[object, ...], int] = {}
    values: list[float] = []
    blocks: list[int] = []
    matches: list[int] = []
    entries: list[tuple[int, int, float]] = []
    for match, result in enumerate(results):
        lineup = result.lineup
        parts = list(_parts(lineup))
        shares: dict[str, float] = {}
        for policy, part in zip(lineup.policies, parts, strict=True):
            shares[policy] = shares.get(policy, 0.0) + part
        for k, seeds in enumerate(zip(lineup.seeds, lineup.map_seeds, strict=True)):
            block = (lineup.mission, *(() if len(set(lineup.teams)) > 1 else seeds))
            entries += [(len(values), number[policy], share) for policy, share in shares.items()]
            blocks.append(numbers.setdefault(block, len(numbers)))
            matches.append(match)
            values.append(sum(part * scores[k] for part, scores in zip(parts, result.scores, strict=True)))
    episodes, who, part_of = zip(*entries, strict=True) if entries else ((), (), ())
    return Observations(
        values=np.array(values, np.float64),
        blocks=np.array(blocks, np.int64),
        matches=np.array(matches, np.int64),
        episodes=np.array(episodes, np.int64),
        policies=np.array(who, np.int64),
        shares=np.array(part_of, np.float64),
        count=len(policies),
    )


def _parts(lineup: Lineup) -> Iterator[float]:
    """Shares of the seats in a line-up: of all, or of their team's, with a minus beside the first team."""
    teams = lineup.teams or (None,) * len(lineup.seats)
    names = sorted(set(teams), key=str)
    sizes = {
        name: sum(seats for seats, team in zip(lineup.seats, teams, strict=True) if team == name) for name in names
    }
    for seats, team in zip(lineup.seats, teams, strict=True):
        yield seats / sizes[team] * (1.0 if team == names[0] else -1.0 / (len(names) - 1))
