"""Value over replacement: what a policy adds to teams of others, and the score of leagues.

Teams are mixed with k places for the candidate and the others for a pool of policies, for every k from 0 to all. All
play the same seeds, each episode with the same members of the pool. VOR(k) is the mean score with k candidates less
that with none; the value weighs k by the places that the candidate holds.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from metta.common.errors import UserError
from metta.eval.contest import ContestResult, play_contest, prepare, resolve_missions
from metta.eval.entries import parse_entry
from metta.eval.match import Match, Player
from metta.eval.results import MatchSummary
from metta.eval.settings import ContestSettings
from metta.eval.statistics import Summary, as_cells, interval_head, summarize
from metta.game.mission import Mission

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Mix:
    """Teams with so many candidates: score (mean return of all agents) and gain over none, per episode."""

    candidates: int
    score: Summary
    gain: Summary  # of zeros where there are no candidates


@dataclass(frozen=True)
class PickupResult:
    """Every mix of one mission, as far as it was played."""

    mission: Mission
    candidate: str
    pool: tuple[str, ...]
    mixes: list[Mix]
    contest: ContestResult

    @property
    def value(self) -> Summary:
        """Gain per episode, weighed by the places that the candidate holds."""
        with_candidate = [mix for mix in self.mixes if mix.candidates]
        weights = np.array([mix.candidates for mix in with_candidate], np.float64)
        gains = np.array([mix.gain.per_episode for mix in with_candidate])
        return summarize((weights @ gains / weights.sum()).tolist())

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        value = self.value
        return {
            "schema_version": SCHEMA_VERSION,
            "complete": not self.contest.interrupted,
            "mission_name": self.mission.name,
            "policy_uri": self.candidate,
            "pool": list(self.pool),
            "agents": self.mission.agents,
            "max_steps": self.mission.max_steps,
            "episodes": value.episodes,
            "value_over_replacement": value.mean,
            "value_over_replacement_ci95": list(value.ci95),
            "replacement_mean": self.mixes[0].score.mean,
            "replacement_mean_ci95": list(self.mixes[0].score.ci95),
            "mixes": [
                {
                    "candidates": mix.candidates,
                    "score": mix.score.mean,
                    "score_ci95": list(mix.score.ci95),
                    "vor": mix.gain.mean,
                    "vor_ci95": list(mix.gain.ci95),
                    "scores": mix.score.per_episode,
                }
                for mix in self.mixes
            ],
        }

    def table(self) -> Table:
        """A row for each number of candidates, and the value."""
        value = self.value
        title = f"{self.candidate} among {', '.join(self.pool)} on {self.mission.name}: {value.episodes} episodes"
        table = Table(title=title, title_justify="left", show_footer=True)
        table.add_column("candidates", "value", justify="right")
        table.add_column("mean score", justify="right")
        head, (gain, interval) = interval_head(value.episodes), as_cells(value)
        table.add_column(head, justify="right")
        table.add_column("over replacement", gain, justify="right")
        table.add_column(head, interval, justify="right")
        for mix in self.mixes:
            gains = as_cells(mix.gain) if mix.candidates else ("", "")
            table.add_row(f"{mix.candidates} of {self.mission.agents}", *as_cells(mix.score), *gains)
        return table


def mixed_teams(
    mission: Mission, candidate: Player, pool: Sequence[Player], episodes: int
) -> Iterator[tuple[int, list[Player], range]]:
    """Every k, the players of a team with k candidates, and the episodes that it plays: one team for every member of
    the pool that can come first; episode e begins with member e mod P."""
    for k in range(mission.agents + 1):
        for first in range(len(pool)):
            if chosen := range(first, episodes, len(pool)):
                seats = {0: k} if k else {}
                for place in range(mission.agents - k):
                    member = 1 + (first + place) % len(pool)
                    seats[member] = seats.get(member, 0) + 1
                players = (candidate, *pool)
                yield k, [players[who].model_copy(update={"seats": count}) for who, count in seats.items()], chosen


def run_pickup(settings: ContestSettings, pool: Sequence[str]) -> PickupResult:
    """Play every mix. `settings.policies` names the candidate. Raises UserError for bad input."""
    if len(settings.policies) != 1:
        raise UserError(f"pickup judges one policy, got {len(settings.policies)}")
    if not pool:
        raise UserError("the pool is empty: --pool POLICY names who else can have the places")
    missions = resolve_missions(settings)
    if len(missions) != 1:
        raise UserError(f"pickup plays one mission, got {len(missions)}")
    (mission,), candidate, others = missions, parse_entry(settings.policies[0]), [parse_entry(text) for text in pool]
    if any(entry.proportion != 1 or entry.team for entry in (candidate, *others)):
        raise UserError("pickup knows no proportion and no team: the members of the pool take turns")
    line_up = prepare(settings)
    own, *members = (line_up.seat(mission, [entry])[0] for entry in (candidate, *others))
    first = settings.seed if settings.map_seed is None else settings.map_seed
    candidates: list[int] = []  # of each match
    matches: list[Match] = []
    for k, players, chosen in mixed_teams(mission, own, members, settings.episodes):
        seeds, maps = ([start + episode for episode in chosen] for start in (settings.seed, first))
        candidates.append(k)
        matches.append(line_up.match(mission, players, seeds, maps))
    contest = play_contest(matches, line_up, settings, settings.out, settings.save_replay_dir)
    return PickupResult(mission, candidate.uri, tuple(pool), _mixes(contest.matches, candidates, matches), contest)


def _mixes(played: Sequence[MatchSummary], candidates: Sequence[int], matches: Sequence[Match]) -> list[Mix]:
    """Scores by number of candidates, over the episodes that were played with every one of them."""
    held = {id(match): k for match, k in zip(matches, candidates, strict=True)}
    scores: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for result in played:
        for row in result.rows:
            scores[held[id(result.match)]][row.seed] = row.score
    common = sorted(set.intersection(*(set(scores[k]) for k in held.values())))
    if not common:
        raise KeyboardInterrupt  # broken off before any episode was played by all mixes
    base = np.array([scores[0][seed] for seed in common])
    mixes = []
    for k in sorted(set(held.values())):
        score = np.array([scores[k][seed] for seed in common])
        mixes.append(Mix(k, summarize(score.tolist()), summarize((score - base).tolist())))
    return mixes
