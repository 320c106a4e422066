"""What a league publishes so that others can check it: results from which a leaderboard follows, matches to replay."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import BaseModel, TypeAdapter

from metta.common.digests import SHOWN
from metta.common.errors import UserError
from metta.eval.match import Match, engine_version
from metta.eval.playing import Progress, close_policies
from metta.league import records
from metta.league.client import Client
from metta.league.playing import play, seat
from metta.league.scores import SCORES
from metta.league.work import Bundle

RESULTS = TypeAdapter(tuple[records.Result, ...])
STANDINGS = TypeAdapter(list[records.Standing])


class Basis(BaseModel):
    """What a leaderboard follows from: its pool without results, which come page by page, and its lines."""

    score: str
    pool: records.Pool
    standings: list[records.Standing]
    results: int


class Evidence(BaseModel):
    """All that the result of a match follows from, and its hash."""

    match: Match
    result_hash: str
    bundles: list[Bundle]


def recompute(client: Client, season: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The lines of a season's leaderboard, computed here from its results, and as the league publishes them."""
    path = f"/tournament/seasons/{season}"
    basis = Basis.model_validate(client.get(f"{path}/basis"))
    results: Sequence[records.Result] = ()
    while len(results) < basis.results:
        page = RESULTS.validate_python(client.get(f"{path}/results", offset=len(results)))
        if not page:
            break
        results = (*results, *page)
    pool = replace(basis.pool, results=tuple(results[: basis.results]))
    return as_lines(SCORES[basis.score](pool)), as_lines(basis.standings)


def as_lines(standings: Sequence[records.Standing]) -> list[dict[str, Any]]:
    """Lines of a leaderboard as JSON has them."""
    return STANDINGS.dump_python(list(standings), mode="json")


@dataclass(frozen=True)
class Again:
    """What came of playing a match again."""

    same: bool
    line: str


def play_again(client: Client, match_id: str, trust_code: bool) -> Again:
    """Play a match again and compare the hash of its result. Raises UserError where that cannot be: another version of
    the engine, or bundles of others."""
    evidence = Evidence.model_validate(client.get(f"/tournament/matches/{match_id}/evidence"))
    match = evidence.match
    if match.engine != engine_version():
        here = engine_version()[:SHOWN]
        raise UserError(f"match {match_id}: was played by engine {match.engine[:SHOWN]}, here is {here}")
    with TemporaryDirectory(prefix="metta-verify-") as folder:
        bundles = []
        for number, bundle in enumerate(evidence.bundles):
            path = Path(folder) / f"{number}.zip"
            path.write_bytes(client.get_file(bundle.url))
            bundles.append((bundle.name, path))
        seated = seat(match, bundles, trust_code)
        try:
            result = play(match, seated, Progress(), None)
        finally:
            close_policies([one.policy for one in seated])
    if result.digest == evidence.result_hash:
        return Again(True, f"the same result, {result.digest[:SHOWN]}")
    return Again(False, f"another result: {result.digest[:SHOWN]}, the league has {evidence.result_hash[:SHOWN]}")
