"""One save: what a rank writes in a thread while training goes on, and the commit once all ranks have written."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from metta.common.files import (
    begin_folder,
    disk_full,
    finish_folder,
    fsync_path,
    give_up_folder,
    partial,
    remove_folder,
)
from metta.policy.nets.net import ComponentNet
from metta.policy.stored.bundle import write_bundle
from metta.policy.stored.uri import list_versions
from metta.rl.run.ranking import passing
from metta.rl.run.run_folder import RunFolder
from metta.rl.run.settings import CheckpointerSettings
from metta.rl.run.snapshot import Snapshot, write_numbers, write_parts

STATES_KEPT = 2  # the newest, and one to fall back on
LONGEST = 600.0  # seconds that are waited for a save before it is given up


class Outcome(NamedTuple):
    """What has become of a rank's part of a save."""

    done: bool
    problem: str = ""
    hashes: dict[str, str] = {}  # SHA-256 of the files written, by name


@dataclass(frozen=True)
class Content:
    """What is saved: copies that nobody changes, contiguous on the host once `arrived` returns."""

    net: ComponentNet  # that the weights are of; its own may have changed since
    weights: dict[str, Tensor]
    snapshot: Snapshot
    arrived: Callable[[], None]

    @property
    def epoch(self) -> int:
        return self.snapshot.progress.epoch


class Save:
    """A save into folders that `prepare` made. With one rank the thread commits too; with several nobody can but all
    together, between batches."""

    def __init__(self, folder: RunFolder, settings: CheckpointerSettings, content: Content, rank: int) -> None:
        self.content = content
        self.untidy = ""  # why something old is still there
        self._folder, self._settings, self._rank = folder, settings, rank
        self._error: Exception | None = None
        self._hashes: dict[str, str] = {}
        self._given_up = False
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"save-v{content.epoch}")
        self._thread.start()

    def outcome(self, wait: bool) -> Outcome:
        """How far it is; with `wait` it is over, or given up after LONGEST seconds. Raise what is no OSError."""
        self._thread.join(LONGEST if wait else 0)
        if self._thread.is_alive():
            self._given_up = wait
            return Outcome(wait, f"not written within {LONGEST:g} s" if wait else "")
        if self._error and not isinstance(self._error, OSError):
            raise self._error
        return Outcome(True, told(self._error), self._hashes)

    def commit(self, hashes: dict[str, str]) -> None:
        """Make a checkpoint of what all ranks have written, and remove what it replaces. Raise OSError where that
        fails."""
        epoch, snapshot = self.content.epoch, self.content.snapshot
        write_numbers(partial(self._folder.state(epoch)), snapshot, hashes)
        finish_folder(self._folder.state(epoch))
        finish_folder(self._folder.checkpoint(epoch))
        self.untidy = told(attempt(self._tidy))

    def _run(self) -> None:
        try:
            self._write()
            if self.content.snapshot.ranks == 1 and not self._given_up:
                self.commit(self._hashes)
        except Exception as error:
            self._error = error

    def _write(self) -> None:
        content, folder = self.content, self._folder
        content.arrived()
        state, checkpoint = partial(folder.state(content.epoch)), partial(folder.checkpoint(content.epoch))
        self._hashes = write_parts(state, content.snapshot, self._rank)
        if not self._rank:
            steps = content.snapshot.progress.agent_steps
            write_bundle(checkpoint, content.net, content.weights, folder.name, content.epoch, steps)
        for name in self._hashes if content.snapshot.ranks > 1 else ():  # `commit` may run on another machine
            fsync_path(state / name)

    def _tidy(self) -> None:
        """Say which checkpoint is the best, and remove those and the states that are to go."""
        epoch, ranking = self.content.epoch, self.content.snapshot.ranking
        ranking.publish(self._folder.path)
        epochs = [version.epoch for version in list_versions(self._folder.path)]
        gone = passing(epochs, epoch, ranking, self._settings)
        for old in gone:
            remove_folder(self._folder.checkpoint(old))
        states = sorted(int(entry.name[1:]) for entry in self._folder.states.glob("v*") if entry.name[1:].isdecimal())
        complete = [state for state in states if state <= epoch and state in epochs and state not in gone]
        for state in states:
            if state not in complete[-STATES_KEPT:]:
                remove_folder(self._folder.state(state))


def attempt(work: Callable[[], None]) -> OSError | None:
    """The error that it ends with, if any."""
    try:
        work()
    except OSError as error:
        return error
    return None


def told(error: Exception | None) -> str:
    """An error for people; empty for none."""
    if error is None:
        return ""
    return "the disk is full" if isinstance(error, OSError) and disk_full(error) else str(error)


def prepare(folder: RunFolder, epoch: int) -> None:
    """Make the folders that the ranks write an epoch's save into."""
    begin_folder(folder.state(epoch))
    begin_folder(folder.checkpoint(epoch))


def give_up(folder: RunFolder, epoch: int) -> None:
    """Remove what is there of a save that failed."""
    give_up_folder(folder.state(epoch))
    give_up_folder(folder.checkpoint(epoch))
