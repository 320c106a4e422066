"""Playing a match again, to see that its result is what comes of it.

Of policies that follow from their seeds and what they observe, the same result comes bit for bit. A policy of code that
draws numbers of its own, or that was late, plays otherwise: of such a match the actions are evidence
(metta.eval.actions).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metta.common.digests import SHOWN
from metta.common.errors import UserError
from metta.eval.actions import of_replays, play_actions
from metta.eval.line_up import LineUp
from metta.eval.match import Match, MatchResult, engine_version
from metta.eval.playing import Build, Progress, close_policies, play_match
from metta.eval.replay.file import read_replay


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


def verify_actions(match: Match, result: MatchResult, actions: np.ndarray) -> Verdict:
    """Play the actions of a match, int32 [steps, episodes, agents], and compare. Needs no policy.

    Raises UserError as `verify`.
    """
    _check(match, result)
    return _verdict(result, play_actions(match, actions))


def verify_file(
    matches: Sequence[Match],
    results: Sequence[MatchResult],
    line_up: LineUp,
    others: Sequence[str] = (),
    folder: Path | None = None,
) -> list[tuple[Match, Verdict]]:
    """Play what a file holds again, each part with its verdict, in the order of the matches. The policies are where
    the matches say, or among the URIs `others`; with `folder`, of replays, their actions are played instead.

    Raises UserError as `verify`, `of_replays` and `LineUp.found`.
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
                verdicts.append((part, verify_actions(part, result, of_replays(part, kept))))
            else:
                here = part.model_copy(update={"players": match.players})
                verdicts.append((here, verify(here, result, line_up.build)))
    return verdicts


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
