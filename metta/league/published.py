"""What a league publishes so that others can check it: results from which a leaderboard follows, matches to replay."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import BaseModel, TypeAdapter

from metta.common.digests import SHOWN
from metta.common.errors import UserError
from metta.common.files import read_bytes
from metta.eval.match import Match, engine_version
from metta.league.client import Client
from metta.league.names import match_path, season_path
from metta.league.play import Job, Sandbox, play_job
from metta.league.rating.published import Published, read_published
from metta.league.records import Result
from metta.league.work import Bundle
from metta.policy.stored.sources.cache import LostConnectionError
from metta.policy.stored.sources.http import read_from

MOST = 1 << 29  # bytes of published results: more than a million matches
RESULTS = TypeAdapter(tuple[Result, ...])


class Basis(BaseModel):
    """What a leaderboard follows from, but for its results, which come page by page; and how many these are."""

    published: Published
    results: int


class Evidence(BaseModel):
    """All that the result of a match follows from, and its hash."""

    match: Match
    result_hash: str
    bundles: list[Bundle]


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
    """Play a match again and compare the hash of its result. Raises UserError where that cannot be: another version of
    the engine, or bundles of others."""
    evidence = Evidence.model_validate(client.get(f"{match_path(match_id)}/evidence"))
    match = evidence.match
    if match.engine != engine_version():
        here = engine_version()[:SHOWN]
        raise UserError(f"match {match_id}: was played by engine {match.engine[:SHOWN]}, here is {here}")
    with TemporaryDirectory(prefix="metta-verify-") as name:
        folder = Path(name)
        for player, bundle in zip(match.players, evidence.bundles, strict=True):
            (folder / player.policy).write_bytes(client.get_file(bundle.url))
        done = play_job(Job(match=match), lambda player: folder / player.policy, folder, sandbox, trust_code)
    if done.sha256 == evidence.result_hash:
        return Again(True, f"the same result, {done.sha256[:SHOWN]}")
    return Again(False, f"another result: {done.sha256[:SHOWN]}, the league has {evidence.result_hash[:SHOWN]}")
