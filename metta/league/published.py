"""What a league publishes so that others can check it: results from which a leaderboard follows, matches to replay."""

from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pydantic import BaseModel, Field, TypeAdapter

from metta.common.digests import SHOWN
from metta.common.errors import UserError
from metta.common.files import read_bytes
from metta.eval.actions import of_replays, play_actions
from metta.eval.match import Match, MatchResult, engine_version
from metta.eval.replay.file import Replay, parse_replay, read_replay
from metta.league.client import Client
from metta.league.names import match_path, season_path
from metta.league.play import Job, Sandbox, play_job
from metta.league.rating.published import Published, read_published
from metta.league.records import Result
from metta.league.work import Bundle, scores_of
from metta.policy.stored.sources.cache import LostConnectionError
from metta.policy.stored.sources.http import read_from

MOST = 1 << 29  # bytes of published results: more than a million matches
RESULTS = TypeAdapter(tuple[Result, ...])


class Basis(BaseModel):
    """What a leaderboard follows from, but for its results, which come page by page; and how many these are."""

    published: Published
    results: int


class Evidence(BaseModel):
    """All that the result of a match follows from, its hash, and what the leaderboard makes of it."""

    match: Match
    result_hash: str
    scores: list[list[float]] = Field(description="of each player, in each episode")
    bundles: list[Bundle] = Field(description="of each player; none where they were not asked for")
    replays: list[str] = Field(description="where the replay of each episode is; none: none are kept")


def fetch(client: Client, season: str) -> Published:
    """All results of a season that its leaderboard counts, and the leaderboard as the league publishes it."""
    path = season_path(season)
    basis = Basis.model_validate(client.get(f"{path}/basis"))
    results: list[Result] = []
    after = None
    while len(results) < basis.results and (page := client.get(f"{path}/results", after=after)):
        results += RESULTS.validate_python(page)
        after = results[-1].match
    return Published.model_validate({**dict(basis.published), "results": tuple(results[: basis.results])})


def read(origin: str) -> Published:
    """What `fetch` gives, as it was kept in a file, or at an address. Raises UserError for anything else."""
    return read_published(_download(origin) if "://" in origin else read_bytes(Path(origin), MOST), origin)


def _download(address: str) -> bytes:
    data = bytearray()
    try:
        for chunk in read_from(address, 0, {})[1]:
            data += chunk
            if len(data) > MOST:
                raise UserError(f"{address}: larger than {MOST:,} bytes")
    except LostConnectionError as error:
        raise UserError(f"{address}: {error}") from None
    return bytes(data)


@dataclass(frozen=True)
class Again:
    """What came of playing a match again."""

    same: bool
    line: str


def play_again(client: Client, match_id: str, trust_code: bool, sandbox: Sandbox | None = None) -> Again:
    """Play a match again with its policies, and compare the result's hash, the scores that count, and the replays.
    Raises UserError where that cannot be: another version of the engine, or bundles of others."""
    evidence = _evidence(client, match_id, bundles=True)
    match = evidence.match
    with TemporaryDirectory(prefix="metta-verify-") as name:
        folder = Path(name)
        paths = {}
        for player, bundle in zip(match.players, evidence.bundles, strict=True):
            paths[player.policy] = folder / f"{bundle.sha256}.zip"  # as workers call it
            paths[player.policy].write_bytes(client.get_file(bundle.url))
        job = Job(match=match, replays=bool(evidence.replays))
        done = play_job(job, lambda player: paths[player.policy], folder, sandbox, trust_code)
        again = _compared(evidence, done.result)
        kept = zip(evidence.replays, [read_replay(folder / file) for file in done.replays], strict=True)
        shown = [address for address, made in kept if again.same and not _shows(client.get_file(address), made)]
    return Again(False, f"{again.line}, but not what the replay shows: {shown[0]}") if shown else again


def play_replays(client: Client, match_id: str) -> Again:
    """Play the actions of a match's replays again, whoever chose them, and compare as `play_again`. Raises UserError
    where that cannot be: another version of the engine, or no replays."""
    evidence = _evidence(client, match_id, bundles=False)
    if not evidence.replays:
        raise UserError(f"match {match_id}: no replays are kept")
    files = {address: client.get_file(address) for address in evidence.replays}
    try:
        actions = of_replays(evidence.match, [parse_replay(data, address) for address, data in files.items()])
    except UserError as error:
        return Again(False, str(error))
    return _compared(evidence, play_actions(evidence.match, actions))


def _evidence(client: Client, match_id: str, bundles: bool) -> Evidence:
    asked = client.get(f"{match_path(match_id)}/evidence", bundles=str(bundles).lower())
    evidence, here = Evidence.model_validate(asked), engine_version()
    if (there := evidence.match.engine) != here:
        raise UserError(f"match {match_id}: was played by engine {there[:SHOWN]}, here is {here[:SHOWN]}")
    return evidence


def _compared(evidence: Evidence, result: MatchResult) -> Again:
    """A result that came of playing again beside what the league has."""
    found, told = result.digest[:SHOWN], evidence.result_hash[:SHOWN]
    if result.digest != evidence.result_hash:
        return Again(False, f"another result: {found}, the league has {told}")
    if scores_of(evidence.match, result) != evidence.scores:
        return Again(False, f"the same result, {found}, but other scores than those that the league counts")
    return Again(True, f"the same result, {found}")


def _shows(data: bytes, made: Replay) -> bool:
    """Whether a replay that was kept shows, step by step, what one shows that was made now."""
    try:
        kept = parse_replay(data, "replay")
        steps = zip_longest(*(chain.from_iterable(map(one.states, range(len(one.chunks)))) for one in (kept, made)))
        return kept.header == made.header and all(np.array_equal(one, other) for one, other in steps)
    except UserError:
        return False
