"""What a server and its workers say to each other."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from metta.eval.match import Match, MatchResult
from metta.league.play import Job, PlayerReport
from metta.league.store.schema import Id

MOST_JOBS = 64  # of one worker at a time
MOST_LOG = 100_000  # characters that are kept of what a policy printed
MOST_LINE = 2_000  # characters of an error


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Hungry(_Said):
    """A worker asks for jobs."""

    worker: str = Field(max_length=64)
    engine: str = Field(pattern=r"^[0-9a-f]{64}$", description="version of the code that it plays with")
    most: int = Field(default=1, ge=1, le=MOST_JOBS)


class Bundle(_Said):
    """A version to download."""

    name: str
    sha256: str
    url: str


class Sheet(_Said):
    """A job, and the lease under which it is done."""

    id: Id
    lease: Id
    kind: Literal["validate", "match"]
    attempt: int
    seconds: int = Field(description="after which the lease runs out without a heartbeat")
    job: Job = Field(description="a match to be played; to validate a version: a few steps of it alone")
    bundles: list[Bundle] = Field(description="of each player")
    secrets: list[dict[str, str]] = Field(
        default=[], repr=False, description="environment values of each player, for its process alone"
    )
    replays: list[str] = Field(default=[], description="where the replay of each episode is to be put; none: nowhere")


class Jobs(_Said):
    jobs: list[Sheet]


class Lease(_Said):
    id: Id = Field(description="of the job")
    lease: Id


class Beat(_Said):
    """A worker is still at these."""

    jobs: list[Lease] = Field(max_length=MOST_JOBS)


class Lost(_Said):
    lost: list[Id] = Field(description="jobs that are no longer the worker's")


class Validated(_Said):
    """What came of a validation: the digest of what plays, or why it is refused."""

    lease: Id
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    kind: str = Field(default="", max_length=16)
    reason: str | None = Field(default=None, max_length=MOST_LOG)


class Played(_Said):
    """What came of a match."""

    lease: Id
    result: MatchResult
    players: list[PlayerReport] = Field(max_length=255)


class Failed(_Said):
    """Why a job could not be done, which is no policy's fault."""

    lease: Id
    error: str = Field(max_length=MOST_LOG)


class Returned(_Said):
    """A job is given back, not begun."""

    lease: Id


class Heard(_Said):
    """Whether what was told counts; False: it was told before."""

    counts: bool


def scores_of(match: Match, result: MatchResult) -> list[list[float]]:
    """Of each player, in each episode: mean return of its agents."""
    return [
        [_mean([value for value, seat in zip(row.returns, row.seats, strict=True) if seat == place])
         for row in result.episodes]
        for place in range(len(match.players))
    ]  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
