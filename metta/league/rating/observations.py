"""Results as numbers: an observation for each episode, and what every policy had to do with it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from metta.league.rating.table import Table


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

    @cached_property
    def matches_played(self) -> np.ndarray:
        """Matches of each policy, int64 [policies]."""
        played = np.unique(self.policies * len(self.values) + self.matches[self.episodes])
        return np.bincount(played // len(self.values), minlength=self.count)

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


def observe(table: Table) -> Observations:
    """All episodes of a table, of its policies."""
    count, starts, parts = len(table.names), table.starts, _parts(table)
    entries, places = np.unique(table.episode * count + table.policy, return_inverse=True)
    shares = np.bincount(places, parts)
    return Observations(
        values=np.bincount(table.episode, parts * table.score),
        blocks=table.block[starts],
        matches=table.matches_of,
        episodes=entries // count,
        policies=entries % count,
        shares=shares,
        count=count,
    )


def _parts(table: Table) -> np.ndarray:
    """Shares of the seats, float64 [rows]: of all, or of their team's, with a minus beside the first team."""
    most = int(table.team.max()) + 1
    team = table.episode * most + table.team
    others = table.teams[table.episode] - 1
    signs = np.where(table.team == 0, 1.0, -1.0 / np.maximum(others, 1))
    return table.seats / np.bincount(team, table.seats)[team] * signs
