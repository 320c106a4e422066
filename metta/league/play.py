"""A match of a league, played by a worker: whatever a policy does, it is played to its end.

A policy of code plays in a process of its own, in a sandbox; nets and scripted policies play here. One that cannot be
loaded, crashes, hangs or floods its output stands still for the rest, and a report for its owner says why.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from metta.common.digests import SHOWN
from metta.common.errors import UserError
from metta.eval.actions import ActionLog
from metta.eval.match import ENDED, Digest, Match, MatchResult, Player, engine_version
from metta.eval.playing import Progress, close_policies, keep_in, play_match, record_nothing
from metta.eval.replay.keeping import SUFFIX
from metta.game.mission import Mission
from metta.game.observation import EnvInfo, env_info
from metta.league.sandbox.bubblewrap import telling
from metta.league.settings import MEGABYTE
from metta.policy.hosted.by_class import told
from metta.policy.hosted.client import HostedPolicy, UnbuiltError
from metta.policy.hosted.process import Hosting, Sandbox
from metta.policy.hosted.submission_code import code_content, play_code
from metta.policy.interface import Policy
from metta.policy.neural import NeuralPolicy
from metta.policy.simple import NoopPolicy
from metta.policy.stored.bundle import NoNetError
from metta.policy.stored.uri import find_policy
from metta.rl.machine import one_thread_each

MOST_STATE = 512 * MEGABYTE  # of a net, in all seats and episodes of a match
FetchPolicy = Callable[[Player], Path]  # the bundle of a player, on this machine
Kind = Literal["net", "script", "code", "none"]


class Job(BaseModel):
    """A match to be played, and what its policies may take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: Match
    replays: bool = Field(
        default=False, description="whether replays are written as it is played, which takes longer than the game"
    )
    policy_seconds: PositiveFloat = Field(
        default=600, description="seconds that a policy has for its answers in the match"
    )
    output_bytes: PositiveInt = Field(default=1 << 20, description="bytes that a policy's code may write")


class PlayerReport(BaseModel):
    """How a policy did in a match, for its owner."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind = Field(description="what it is; none: it could not be loaded")
    failure: str = Field(default="", description="why it stood still for the rest, or for all; empty: it did not")
    log: str = Field(default="", description="what its code wrote")


class JobResult(BaseModel):
    """What came of a job."""

    model_config = ConfigDict(extra="forbid")

    result: MatchResult
    sha256: Digest = Field(description="of all that was played; whoever plays the match again gets the same")
    players: list[PlayerReport] = Field(description="of each player")
    actions: list[Base64Bytes] = Field(description="of each episode (metta.eval.actions): replays can be made of them")
    replays: list[str] = Field(description="files in the folder of the job, one for each episode; none: none are kept")


def play_job(
    job: Job,
    fetch_policy: FetchPolicy,
    folder: Path,
    sandbox: Sandbox | None = None,
    trust_code: bool = False,
    progress: Progress | None = None,
    secrets: Sequence[Mapping[str, str]] = (),
) -> JobResult:
    """Play a match; replays go to `folder`. `progress` hears of every step, and can end it early. `secrets`: of each
    player values that are in the environment of its process alone, in the sandbox.

    Raises:
        UserError: this worker cannot play it: its code is another version than the match's, a bundle is another than
            the match names, or a policy is code and there is no sandbox (`trust_code` runs it without). Not for
            anything that a policy does.
        StopPlayingError: `progress` was stopped.
    """
    match = job.match
    if (engine := engine_version()) != match.engine:
        raise UserError(f"the match is for engine {match.engine[:SHOWN]}, this worker has {engine[:SHOWN]}")
    log = ActionLog()
    hosting = Hosting(match.action_timeout_ms, job.policy_seconds, sandbox, job.output_bytes)
    info, players, kept = env_info(match.mission), list[_Seated](), ExitStack()
    try:
        for player, told in zip(match.players, secrets or [{}] * len(match.players), strict=True):
            path, seats = fetch_policy(player), replace(info, num_agents=player.seats)
            held = replace(hosting, prefix=kept.enter_context(telling(sandbox, told)))
            players.append(_seat(player, path, seats, held, trust_code, len(match.seeds)))
        players = [player.ready() for player in players]  # the processes of all start at once
        policies = [player.policy for player in players]
        record = keep_in(folder, _numbered) if job.replays else record_nothing
        with one_thread_each():
            result = play_match(match, policies, progress, record, [log], forgiving=True, seconds=job.policy_seconds)
    finally:
        close_policies([player.policy for player in players])
        kept.close()
    return JobResult(
        result=result,
        sha256=result.digest,
        players=[player.report(causes) for player, causes in zip(players, result.causes, strict=True)],
        actions=[b64encode(data) for data in log.packed()],
        replays=[row.replay for row in result.episodes if row.replay],
    )


def look_at(bundle: Path) -> tuple[Kind, Digest]:
    """What a bundle holds, and the digest by which matches know it (`Player.policy`). No code in it runs.

    Raises UserError for one that is broken.
    """
    found = _find(bundle, env_info(Mission()), Hosting())
    return found.kind, found.content


@dataclass(frozen=True)
class _Found:
    """What lies in a bundle."""

    kind: Kind
    content: str  # digest of all that decides what it does
    build: Callable[[EnvInfo], Policy]


@dataclass(frozen=True)
class _Seated:
    """A policy of a match."""

    kind: Kind
    policy: Policy

    def ready(self) -> "_Seated":
        """The same once it can play, or who stands still in its place."""
        try:
            if isinstance(self.policy, HostedPolicy):
                self.policy.ready()
        except UserError as error:
            return _Seated(self.kind, _Missing(error))
        return self

    def report(self, causes: Mapping[str, str]) -> PlayerReport:
        log = self.policy.log if isinstance(self.policy, HostedPolicy | _Missing) else ""
        return PlayerReport(kind=self.kind, failure=causes.get(ENDED, ""), log=log)


class _Missing(NoopPolicy):
    """In place of a policy that could not be loaded: raises why."""

    def __init__(self, error: UserError) -> None:
        super().__init__()
        self._problem = str(error)  # not the error itself: it would hold the policy, whose files end with it
        self.log = error.log if isinstance(error, UnbuiltError) else ""

    def reset_each(self, num_agents: int, seeds: Sequence[int]) -> None:
        raise UserError(self._problem)


def _seat(player: Player, bundle: Path, info: EnvInfo, hosting: Hosting, trust_code: bool, episodes: int) -> _Seated:
    """The policy of a player. Raises UserError for a bundle that is not the player's, and for code without sandbox."""
    kind: Kind = "none"
    try:
        found = _find(bundle, info, hosting)
        kind = found.kind
        if found.content == player.policy and (kind != "code" or hosting.prefix or trust_code):
            with _taking_what_there_is(bundle):
                policy = found.build(info)
                _check_state(policy, episodes, info.num_agents)
                return _Seated(kind, policy)
    except UserError as error:  # the policy's own fault
        return _Seated(kind, _Missing(error))
    if found.content != player.policy:
        raise UserError(f"{bundle}: is policy {found.content[:SHOWN]}, the match is of {player.policy[:SHOWN]}")
    raise UserError("this worker has no sandbox: it plays no policy that is code")


def _find(bundle: Path, info: EnvInfo, hosting: Hosting) -> _Found:
    try:
        with _taking_what_there_is(bundle):
            found = find_policy(str(bundle.absolute()), info)  # trusts no code: what a net names is not imported here
    except NoNetError as none:  # is kept: without the frames that led here, which hold what should end with them
        code = none.with_traceback(None)
        return _Found("code", code_content(code), lambda info: play_code(code, info, hosting, wait=False))
    with _taking_what_there_is(bundle):
        policy = found.build(info)
    return _Found("net" if isinstance(policy, NeuralPolicy) else "script", found.content, lambda _: policy)


def _check_state(policy: Policy, episodes: int, agents: int) -> None:
    """Raises UserError for a net that remembers too much: a number in its spec is enough to end a worker."""
    size = policy.state_bytes(episodes, agents) if isinstance(policy, NeuralPolicy) else 0
    if size > MOST_STATE:
        raise UserError(f"remembers {size / MEGABYTE:,.0f} MiB in a match, more than {MOST_STATE / MEGABYTE:,.0f} MiB")


@contextmanager
def _taking_what_there_is(bundle: Path) -> Iterator[None]:
    """Raises UserError where a net takes more memory than there is, which torch tells as an error of its own."""
    try:
        yield
    except MemoryError:
        raise UserError(f"{bundle}: takes more memory than there is") from None
    except RuntimeError as error:
        raise UserError(f"{bundle}: cannot be loaded ({told(error)})") from None


def _numbered(match: Match, names: Sequence[str]) -> list[str]:
    """Names of the replays of a match, by episode."""
    return [f"{episode}{SUFFIX}" for episode in range(len(match.seeds))]
