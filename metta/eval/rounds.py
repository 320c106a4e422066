"""What an evaluation plays: rounds of episodes, each a mission with a line-up, in small batches shared by workers."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel, ConfigDict

from metta.eval.entries import Entry
from metta.eval.episodes import StopPlayingError, Watcher, play_batch
from metta.eval.gear import GearTrack
from metta.eval.replay.keeping import BatchRecorder, replay_name
from metta.eval.rows import EpisodeRow, make_row
from metta.game.engine.batch import Batch
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission
from metta.policy.hosted.client import Faults, HostedPolicy
from metta.policy.interface import Policy
from metta.policy.team import TeamPolicy

CHUNK = 8  # episodes played at once, and kept at once


@dataclass(frozen=True)
class Round:
    """A mission that a line-up plays, one episode per seed."""

    mission: Mission
    entries: tuple[Entry, ...]
    counts: tuple[int, ...]  # agents of each entry
    seeds: tuple[int, ...]  # of each episode: of spawns, events, seats and policies
    map_seeds: tuple[int, ...]

    @property
    def chunks(self) -> int:
        return -(-len(self.seeds) // CHUNK)

    def of_chunk(self, chunk: int) -> range:
        """Numbers of the episodes of a chunk."""
        return range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(self.seeds)))


class ChunkResult(BaseModel):
    """The episodes of a chunk, and what went wrong with the policies in it."""

    model_config = ConfigDict(extra="forbid")

    round: int
    chunk: int
    rows: list[EpisodeRow]
    faults: list[dict[str, int]]  # of each entry: kind of fault, agent-steps in which the agent stood still for it
    messages: list[str] = []  # the first of each kind, in words


Build = Callable[[Round], Sequence[Policy]]
Record = Callable[[Round, range, Sequence[str]], BatchRecorder | None]  # of the episodes of a chunk, names of policies


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


def play_rounds(
    rounds: Sequence[Round],
    build: Build,
    workers: int,
    progress: Progress,
    skip: frozenset[tuple[int, int]] = frozenset(),
    record: Record = lambda played, which, names: None,
) -> Iterator[ChunkResult]:
    """Play all chunks but those in `skip` (round, chunk), and yield each as it ends, in any order.

    Each worker is a thread with policies of its own, which `build` makes for a round; compiled policies and nets run at
    the same time. `record` gives what records a chunk, if any. Ends early, without the chunks under way, once
    `progress.stopped` is set or the caller goes away.
    Raises what a policy raises.
    """
    tasks: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
    chosen = [(r, c) for r, played in enumerate(rounds) for c in range(played.chunks) if (r, c) not in skip]
    for task in chosen:
        tasks.put(task)
    results: queue.SimpleQueue[ChunkResult | BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        current, policies = -1, ()
        try:
            while not progress.stopped.is_set():
                number, chunk = tasks.get_nowait()
                if number != current:
                    close_policies(policies)
                    current, policies = number, tuple(build(rounds[number]))
                results.put(_play_chunk(rounds[number], number, chunk, policies, progress, record))
        except (queue.Empty, StopPlayingError):
            pass
        except BaseException as error:  # raised anew where the results are taken
            results.put(error)
        finally:
            close_policies(policies)
            results.put(None)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(max(1, min(workers, len(chosen))))]
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


def _play_chunk(
    played: Round, number: int, chunk: int, policies: Sequence[Policy], progress: Progress, record: Record
) -> ChunkResult:
    team, gear, which = TeamPolicy(policies, played.counts), GearTrack(), played.of_chunk(chunk)
    seeds, map_seeds = ([kind[k] for k in which] for kind in (played.seeds, played.map_seeds))
    recording = record(played, which, [policy.name for policy in policies])
    maps = np.concatenate([build_pool(played.mission, 1, seed, 1) for seed in map_seeds])
    watchers: list[Watcher] = [gear, _Ticker(progress), *([recording] if recording else [])]
    try:
        episodes = play_batch(played.mission, team, maps, seeds, 1, watchers)
        files = recording.save() if recording else {}
    finally:
        if recording:
            recording.close()
    faults = [_take_faults(policy) for policy in policies]
    rows = [
        make_row(episode, map_seeds[env], seeds[env], team.seats[env], gear, files.get(env))
        for env, episode in enumerate(episodes)
    ]
    return ChunkResult(
        round=number,
        chunk=chunk,
        rows=rows,
        faults=[counts for counts, _ in faults],
        messages=[message for _, messages in faults for message in messages],
    )


def keep_in(folder: Path) -> Record:
    """A replay of each episode, in a folder."""

    def record(played: Round, which: range, names: Sequence[str]) -> BatchRecorder:
        seeds = [(played.seeds[k], played.map_seeds[k]) for k in which]
        return BatchRecorder(folder, replay_files(played, which, names), seeds, names)

    return record


def replay_files(played: Round, which: range, names: Sequence[str]) -> list[str]:
    """Names of the replays of some episodes of a round; `names` are those of its policies."""
    who = names if len(names) == 1 else [f"{name}-{count}" for name, count in zip(names, played.counts, strict=True)]
    return [replay_name(played.mission.name, played.map_seeds[k], who) for k in which]


def _take_faults(policy: Policy) -> tuple[dict[str, int], list[str]]:
    """What a policy's class did wrong since the last call: agent-steps by kind, and the first of each in words."""
    if not isinstance(policy, HostedPolicy):
        return {}, []
    faults, policy.faults = policy.faults, Faults()
    counts = {"timeouts": faults.timeouts, "errors": faults.errors, "garbage": faults.garbage}
    messages = [f"{policy.name}: {kind}, first: {text}" for kind, text in faults.first.items()]
    counts = {kind: count for kind, count in counts.items() if count}
    return counts, [*messages, *([f"{policy.name}: was stopped: {faults.ended}"] if faults.ended else [])]


def close_policies(policies: Sequence[Policy]) -> None:
    """Give back what policies hold besides memory."""
    for policy in policies:
        if isinstance(policy, Closable):
            policy.close()
