"""Playing matches: each with all its episodes at once, several at a time, shared by workers."""

import hashlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from metta.common.errors import UserError, printable
from metta.eval.episodes import StopPlayingError, Watcher, play_batch
from metta.eval.gear import GearTrack
from metta.eval.match import ENDED, Match, MatchResult
from metta.eval.replay.keeping import BatchRecorder, replay_name
from metta.eval.rows import make_row
from metta.game.engine.backends import Backend
from metta.game.engine.batch import Batch
from metta.game.maps.pool import build_pool
from metta.policy.hosted.by_class import told
from metta.policy.hosted.client import MOST_MESSAGE, Faults, HostedPolicy
from metta.policy.interface import Policy
from metta.policy.team import TeamPolicy

BLOCK = 128  # steps that are hashed at once
Build = Callable[[Match], Sequence[Policy]]  # a policy for each player
Record = Callable[[Match, Sequence[str]], BatchRecorder | None]  # of a match, names of its policies


@runtime_checkable
class Closable(Protocol):
    """A policy that holds more than memory."""

    def close(self) -> None: ...


@dataclass
class Progress:
    """How many agent-steps have been played; `told` hears of it. Set `stopped` to end early."""

    told: Callable[[int], None] = lambda done: None
    done: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, agent_steps: int) -> None:
        with self._lock:
            self.done += agent_steps
            self.told(self.done)


class _Ticker:
    """Counts steps, and ends the batch once the evaluation is stopped."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def begin(self, batch: Batch, policy: Policy) -> None:
        self._agents = batch.num_envs * batch.num_agents

    def step(self, actions: np.ndarray, rewards: np.ndarray) -> None:
        if self._progress.stopped.is_set():
            raise StopPlayingError
        self._progress.add(self._agents)


class _Fingerprints:
    """SHA-256 of each episode over the actions (int32) and rewards (float32) of all agents, step by step."""

    def begin(self, batch: Batch, policy: Policy) -> None:
        self._hashes = [hashlib.sha256() for _ in range(batch.num_envs)]
        self._steps = np.zeros((batch.num_envs, BLOCK, 2, batch.num_agents), np.int32)
        self._held = 0  # steps that are not in the hashes yet

    def step(self, actions: np.ndarray, rewards: np.ndarray) -> None:
        self._steps[:, self._held, 0] = actions
        self._steps[:, self._held, 1] = rewards.view(np.int32)
        self._held += 1
        if self._held == BLOCK:
            self._take_in()

    def of(self, env: int) -> str:
        self._take_in()
        return self._hashes[env].hexdigest()

    def _take_in(self) -> None:
        for hashed, steps in zip(self._hashes, self._steps, strict=True):
            hashed.update(steps[: self._held].data)
        self._held = 0


def record_nothing(match: Match, names: Sequence[str]) -> None:
    """No replays."""


def play_matches(
    matches: Sequence[Match],
    build: Build,
    workers: int,
    progress: Progress | None = None,
    record: Record = record_nothing,
) -> Iterator[MatchResult]:
    """Play matches, and yield the result of each as it ends, in any order.

    Each worker is a thread with policies of its own, which `build` makes for a match and those after it with the same
    players; compiled policies and nets run at the same time. `record` gives what records a match, if any. Ends early,
    without the matches under way, once `progress.stopped` is set or the caller goes away.
    Raises what a policy raises.
    """
    progress = progress or Progress()
    tasks: queue.SimpleQueue[Match] = queue.SimpleQueue()
    for match in matches:
        tasks.put(match)
    results: queue.SimpleQueue[MatchResult | BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        before, policies = None, ()
        try:
            while not progress.stopped.is_set():
                match = tasks.get_nowait()
                if before is None or not match.has_players_of(before):
                    close_policies(policies)
                    policies = tuple(build(match))
                before = match
                results.put(play_match(match, policies, progress, record))
        except (queue.Empty, StopPlayingError):
            pass
        except BaseException as error:  # raised anew where the results are taken
            results.put(error)
        finally:
            close_policies(policies)
            results.put(None)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(max(1, min(workers, len(matches))))]
    for thread in threads:
        thread.start()
    try:
        running = len(threads)
        while running:
            result = results.get()
            if isinstance(result, BaseException):
                raise result
            if result is None:
                running -= 1
            else:
                yield result
    finally:
        progress.stopped.set()
        for thread in threads:
            thread.join()


def play_match(
    match: Match,
    policies: Sequence[Policy],
    progress: Progress | None = None,
    record: Record = record_nothing,
    watchers: Sequence[Watcher] = (),
    backend: Backend = "cpu",
    forgiving: bool = False,
    seconds: float | None = None,
) -> MatchResult:
    """Play a match, all its episodes at once, with a policy for each of its players.

    Raises what a policy raises; with `forgiving` it stands still from then on, which is counted, and the others go on;
    so does one that takes more than `seconds` for all its answers. (A hosted policy knows its own limit.)
    """
    limits = [None if isinstance(policy, HostedPolicy) else seconds for policy in policies]
    team = TeamPolicy(policies, [player.seats for player in match.players], match.blocks, forgiving, limits)
    gear, prints = GearTrack(), _Fingerprints()
    recording = record(match, [policy.name for policy in policies])
    maps = np.concatenate([build_pool(match.mission, 1, seed, 1) for seed in match.map_seeds])
    looking = [
        gear,
        prints,
        *watchers,
        *([_Ticker(progress)] if progress else []),
        *([recording] if recording else []),
    ]
    try:
        episodes = play_batch(match.mission, team, maps, match.seeds, 1, looking, backend)
        files = recording.save() if recording else {}
    finally:
        if recording:
            recording.close()
    faults = [_take_faults(team, index) for index in range(len(policies))]
    rows = [
        make_row(episode, match.map_seeds[env], match.seeds[env], team.seats[env], gear, prints.of(env), files.get(env))
        for env, episode in enumerate(episodes)
    ]
    return MatchResult(
        match=match.digest,
        episodes=rows,
        faults=[counts for counts, _ in faults],
        causes=[causes for _, causes in faults],
    )


def replay_files(match: Match, names: Sequence[str]) -> list[str]:
    """Names of the replays of a match; `names` are those of its policies."""
    seats = [player.seats for player in match.players]
    who = names if len(names) == 1 else [f"{name}-{count}" for name, count in zip(names, seats, strict=True)]
    return [replay_name(match.mission.name, seed, who) for seed in match.map_seeds]


def keep_in(folder: Path, files: Callable[[Match, Sequence[str]], list[str]] = replay_files) -> Record:
    """A replay of each episode, in a folder, by the names that `files` gives."""

    def record(match: Match, names: Sequence[str]) -> BatchRecorder:
        seeds = list(zip(match.seeds, match.map_seeds, strict=True))
        return BatchRecorder(folder, files(match, names), seeds, names)

    return record


def _take_faults(team: TeamPolicy, index: int) -> tuple[dict[str, int], dict[str, str]]:
    """What a policy did wrong in a match: agent-steps by kind, and the first of each in words."""
    policy, counts = team.policies[index], {"errors": team.still[index]}
    causes: dict[str, str] = {}
    if index in team.failed:
        error = team.failed[index]
        said = str(error) if isinstance(error, UserError) else told(error)
        error.__traceback__ = None  # its frames would hold the policies, whose files end with them
        causes |= dict.fromkeys(("errors", ENDED), printable(said)[:MOST_MESSAGE])
    elif isinstance(policy, HostedPolicy):
        faults, policy.faults = policy.faults, Faults()
        counts = {"timeouts": faults.timeouts, "errors": faults.errors, "garbage": faults.garbage}
        causes = faults.first | ({ENDED: faults.ended} if faults.ended else {})
    return {kind: count for kind, count in counts.items() if count}, causes


def close_policies(policies: Sequence[Policy]) -> None:
    """Give back what policies hold besides memory."""
    for policy in policies:
        if isinstance(policy, Closable):
            policy.close()
