"""What came of matches: means and intervals per policy, per role and per agent, and the document of an evaluation.

The document has the keys of the original (`docs/evaluation.md`); its means are true means over episodes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metta.eval.gear import role_of
from metta.eval.match import Match, MatchResult, joined
from metta.eval.rows import EpisodeRow
from metta.eval.statistics import Summary, summaries, summarize

SCHEMA_VERSION = 1
REWARD = "reward"
TIMEOUTS = "timeouts"  # the kind of fault that late answers are


@dataclass
class MatchSummary:
    """A match and the episodes of it that were played, in the order of their seeds."""

    match: Match
    names: tuple[str, ...]  # of its policies
    rows: list[EpisodeRow] = field(default_factory=list)
    faults: list[dict[str, int]] = field(default_factory=list)  # of each policy: agent-steps by kind

    @property
    def episodes(self) -> int:
        return len(self.rows)

    def rewards(self, policy: int) -> list[float]:
        """Mean return of a policy's agents in each episode."""
        return [float(np.mean(_of(row.returns, _agents(row, policy)))) for row in self.rows]

    def agent_metrics(self, policy: int) -> dict[str, Summary]:
        """Every statistic of agents: mean over a policy's agents in each episode."""
        return _summaries({name: np.mean(_of(values, _agents(row, policy))) for name, values in row.agent.items()}
                          for row in self.rows)  # fmt: skip

    def game_metrics(self) -> dict[str, Summary]:
        """Statistics of the game, and those of the teams as `<team>/<stat>`."""
        return _summaries(
            row.game | {f"{team}/{name}": value for team, stats in row.teams.items() for name, value in stats.items()}
            for row in self.rows
        )

    def metrics(self) -> dict[str, Summary]:
        """Everything under the names that training reports; means over all agents."""
        return _summaries(
            {REWARD: row.score}
            | {f"env_agent/{name}": np.mean(values) for name, values in row.agent.items()}
            | {f"env_collective/{team}/{n}": value for team, stats in row.teams.items() for n, value in stats.items()}
            | {f"env_game/{name}": value for name, value in row.game.items()}
            for row in self.rows
        )

    def roles(self, policy: int) -> dict[str, dict[str, Any]]:
        """By the gear that an agent wore longest: how many a policy had per episode, and their means."""
        groups: defaultdict[str, list[tuple[EpisodeRow, int]]] = defaultdict(list)
        for row in self.rows:
            for agent in _agents(row, policy):
                groups[role_of(row.gear[agent])].append((row, agent))
        return {
            role: {
                "agents_per_episode": len(group) / len(self.rows),
                "avg_reward": float(np.mean([row.returns[agent] for row, agent in group])),
                "avg_agent_metrics": {
                    name: float(np.mean([row.agent[name][agent] if name in row.agent else 0.0 for row, agent in group]))
                    for name in sorted({name for row, _ in group for name in row.agent})
                },
            }
            for role, group in sorted(groups.items())
        }

    def per_agent(self) -> dict[str, list[float]]:
        """Mean over episodes of reward and every statistic, by agent id."""
        names = sorted({name for row in self.rows for name in row.agent})
        zero = [0.0] * self.match.mission.agents
        columns = {REWARD: [row.returns for row in self.rows]}
        columns |= {name: [row.agent.get(name, zero) for row in self.rows] for name in names}
        return {name: np.mean(values, axis=0).tolist() for name, values in columns.items()}

    def never_acted(self, policy: int) -> str | None:
        """A line on a policy that stood still in every step because of its code; None for any other."""
        agent_steps = self.match.players[policy].seats * self.episodes * self.match.mission.max_steps
        if not 0 < agent_steps <= sum(self.faults[policy].values()):
            return None
        return f"{self.names[policy]}: no action in any of {agent_steps:,} agent-steps on {self.match.mission.name}"

    def document(self) -> dict[str, Any]:
        """An element of `missions` in the document of an evaluation."""
        mission = self.match.mission
        return {
            "mission_name": mission.name,
            "mission_summary": {
                "episodes": self.episodes,
                "agents": mission.agents,
                "max_steps": mission.max_steps,
                "variants": list(mission.variants),
                "seeds": [row.seed for row in self.rows],
                "episode_seeds": [row.episode_seed for row in self.rows],
                "policy_summaries": [self._policy(index) for index in range(len(self.names))],
                **_mean_and_interval("avg_game_stats", self.game_metrics()),
                "avg_metrics_per_agent": self.per_agent(),
                "per_episode_per_policy_avg_rewards": {
                    str(k): list(rewards)
                    for k, rewards in enumerate(zip(*map(self.rewards, range(len(self.names))), strict=True))
                },
                "replays": {str(row.seed): row.replay for row in self.rows if row.replay},
            },
        }

    def _policy(self, index: int) -> dict[str, Any]:
        player, faults = self.match.players[index], self.faults[index]
        reward = summarize(self.rewards(index))
        return {
            "policy_name": self.names[index],
            "policy_uri": player.uri,
            "policy_sha256": player.policy,
            "proportion": player.proportion,
            "team": player.team,
            "agent_count": player.seats,
            "avg_reward": reward.mean,
            "avg_reward_ci95": list(reward.ci95),
            **_mean_and_interval("avg_agent_metrics", self.agent_metrics(index)),
            "roles": self.roles(index),
            "action_timeouts": faults.get(TIMEOUTS, 0),
            "faults": faults,
        }


def match_summaries(
    matches: Iterable[Match], names: Mapping[str, str], results: Mapping[str, MatchResult]
) -> list[MatchSummary]:
    """What came of matches, from the results of their parts by digest, in order; one of which nothing was played is
    left out. `names` are those of policies for tables, by URI."""
    summaries = []
    for match in matches:
        parts = [results[digest] for part in match.parts() if (digest := part.digest) in results]
        if parts:
            result = joined(match, parts)
            labels = tuple(names.get(player.uri, player.uri) for player in match.players)
            summaries.append(MatchSummary(match, labels, result.episodes, result.faults))
    return summaries


def _agents(row: EpisodeRow, policy: int) -> list[int]:
    return [agent for agent, seat in enumerate(row.seats) if seat == policy]


def _of(values: list[float], agents: list[int]) -> list[float]:
    return [values[agent] for agent in agents]


def _summaries(rows: Iterable[Mapping[str, Any]]) -> dict[str, Summary]:
    """Summary of every name that any row has; a row without it counts as 0."""
    table = list(rows)
    names = dict.fromkeys(name for row in table for name in row)
    return summaries({name: [float(row.get(name, 0.0)) for row in table] for name in names})


def _mean_and_interval(key: str, summaries: dict[str, Summary]) -> dict[str, dict[str, Any]]:
    """A key with the means and one, ending in `_ci95`, with their intervals."""
    means = {name: summary.mean for name, summary in sorted(summaries.items())}
    return {key: means, f"{key}_ci95": {name: list(summaries[name].ci95) for name in means}}
