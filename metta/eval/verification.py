"""Playing a match again, to see that its result is what comes of it.

Of policies that follow from their seeds and what they observe, the same result comes bit for bit. A policy of code that
draws numbers of its own, or that was late, plays otherwise: of such a match the replays are evidence. They hold every
action, and the engine makes of these the same game whoever chose them (`played_from`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metta.common.digests import SHOWN
from metta.common.errors import UserError
from metta.eval.line_up import LineUp
from metta.eval.match import Match, MatchResult, Player, engine_version
from metta.eval.playing import Build, Progress, close_policies, play_match
from metta.eval.replay.file import Replay, read_replay
from metta.eval.replay.header import AGENT_COLUMNS
from metta.policy.team import draw_seats

ACTION = AGENT_COLUMNS.index("action")


@dataclass(frozen=True)
class Verdict:
    """Whether a match that was played again came to the same."""

    expected: str  # digest of the result as it is said
    found: str  # of what came of it now
    differences: tuple[str, ...]  # where they differ, in words; empty: nowhere
    again: MatchResult

    @property
    def same(self) -> bool:
        return self.expected == self.found


def verify(match: Match, result: MatchResult, build: Build, progress: Progress | None = None) -> Verdict:
    """Play a match again with the policies that `build` makes for its players, and compare.

    Raises UserError for a result that is not the match's, and for a match that other code of the game played.
    """
    _check(match, result)
    policies = build(match)
    try:
        return _verdict(result, play_match(match, policies, progress, forgiving=True))
    finally:
        close_policies(policies)


def verify_replays(match: Match, result: MatchResult, replays: Sequence[Replay]) -> Verdict:
    """Play the actions that the replays of a match hold, one for each episode, and compare. Needs no policy.

    Raises UserError as `verify`, and for a damaged replay or one of another episode.
    """
    _check(match, result)
    return _verdict(result, played_from(match, replays))


def verify_file(
    matches: Sequence[Match],
    results: Sequence[MatchResult],
    line_up: LineUp,
    others: Sequence[str] = (),
    folder: Path | None = None,
) -> list[tuple[Match, Verdict]]:
    """Play what a file holds again, each part with its verdict, in the order of the matches. The policies are where
    the matches say, or among the URIs `others`; with `folder`, of replays, their actions are played instead.

    Raises UserError as `verify`, `verify_replays` and `LineUp.found`.
    """
    said = {result.match: result for result in results}
    verdicts = []
    for match in matches:
        parts = [(part, said[digest]) for part in match.parts() if (digest := part.digest) in said]
        if parts and not folder:
            match = line_up.found(match, others)
        for part, result in parts:
            if folder:
                kept = [read_replay(folder / row.replay) for row in result.episodes if row.replay]
                verdicts.append((part, verify_replays(part, result, kept)))
            else:
                here = part.model_copy(update={"players": match.players})
                verdicts.append((here, verify(here, result, line_up.build)))
    return verdicts


def played_from(match: Match, replays: Sequence[Replay]) -> MatchResult:
    """What comes of the actions in the replays of a match. Raises UserError as `verify_replays`."""
    if len(replays) != len(match.seeds):
        raise UserError(f"{len(match.seeds)} episodes, {len(replays)} replays")
    for replay, seed, map_seed in zip(replays, match.seeds, match.map_seeds, strict=True):
        header = replay.header
        own = (header.seed, header.map_seed, header.max_steps, len(header.agents))
        if own != (seed, map_seed, match.max_steps, match.mission.agents) or replay.steps < header.max_steps:
            raise UserError(f"{replay.name}: not the whole episode of seed {seed} on the map of seed {map_seed}")
    everyone = Player(policy=match.players[0].policy, seats=match.mission.agents)
    again = play_match(match.model_copy(update={"players": (everyone,)}), [_Recorded(replays)])
    counts = [player.seats for player in match.players]
    drawn = [draw_seats(counts, match.blocks, seed).tolist() for seed in match.seeds]
    rows = [row.model_copy(update={"seats": seats}) for row, seats in zip(again.episodes, drawn, strict=True)]
    none: list[dict[str, Any]] = [{} for _ in match.players]
    return MatchResult(match=match.digest, episodes=rows, faults=none, causes=none)


class _Recorded:
    """Does what replays hold, one for each environment."""

    name = "recorded"

    def __init__(self, replays: Sequence[Replay]) -> None:
        self._actions = np.stack([_actions(replay) for replay in replays], 1)  # int32 [steps, envs, agents]
        self._step = 0

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self._step = 0

    def reset_each(self, num_agents: int, seeds: Sequence[int]) -> None:
        self._step = 0

    def step(self, observations: np.ndarray) -> np.ndarray:
        self._step += 1
        return self._actions[self._step - 1]

    def end_episodes(self, ended: np.ndarray) -> None:
        return


def _actions(replay: Replay) -> np.ndarray:
    """What every agent did in each step, int32 [steps, agents]."""
    agents, width = len(replay.header.agents), replay.header.agent_width
    states = (state for chunk in range(len(replay.chunks)) for state in replay.states(chunk))
    chosen = [state[: agents * width].reshape(agents, width)[:, ACTION].copy() for state in states]
    return np.array(chosen[1:], np.int32)  # the first state is before any step


def _check(match: Match, result: MatchResult) -> None:
    if not result.fits(match):
        raise UserError(f"the result is not of the match {match.digest[:SHOWN]}")
    if (engine := engine_version()) != match.engine:
        raise UserError(f"played by other code of metta: {match.engine[:SHOWN]} there, {engine[:SHOWN]} here")


def _verdict(said: MatchResult, again: MatchResult) -> Verdict:
    differences = []
    for one, other in zip(said.episodes, again.episodes, strict=True):
        there, here = (row.model_dump(exclude={"replay"}) for row in (one, other))
        if parts := [name for name in there if there[name] != here[name]]:
            differences.append(f"seed {one.episode_seed}: {', '.join(parts)}")
    return Verdict(said.digest, again.digest, tuple(differences), again)
