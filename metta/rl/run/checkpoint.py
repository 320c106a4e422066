"""Saving a run so that it can go on as if it had never stopped.

A checkpoint is a policy bundle; beside it lies the trainer's own state (`metta.rl.run.snapshot`). The bundle appears
last: an epoch counts once both are there. Training stops only while everything is copied; a thread of each rank writes
what that rank has to write, and all of it counts together or not at all.
"""

import errno
import shutil
from dataclasses import replace
from typing import NamedTuple

from metta.common.errors import UserError, suggest
from metta.common.logging import warn, warn_once
from metta.policy.nets.net import ComponentNet
from metta.policy.stored.bundle import BrokenBundleError, Bundle, load_bundle
from metta.policy.stored.uri import list_versions
from metta.rl.run.metrics import Metrics
from metta.rl.run.ranking import Ranking
from metta.rl.run.run_folder import RunFolder
from metta.rl.run.save import Content, Save, attempt, give_up, prepare, told
from metta.rl.run.settings import CheckpointerSettings
from metta.rl.run.snapshot import Snapshot, load_snapshot
from metta.rl.run.staging import Stage
from metta.rl.world import ALONE, World

EVALUATION = "eval_"  # how metrics of evaluations begin


class Saved(NamedTuple):
    """A checkpoint that is on disk now."""

    epoch: int
    agent_steps: int
    best: bool  # of all that were evaluated so far


class Checkpointer:
    """Writes and finds the checkpoints of one run. All ranks call the same methods in the same order, and get the same
    answers."""

    def __init__(
        self, folder: RunFolder, settings: CheckpointerSettings, best_metric: str = "", world: World = ALONE
    ) -> None:
        """`best_metric`: the metric by which a checkpoint is the best, higher being better."""
        self.folder, self.settings, self.world = folder, settings, world
        self.last_saved: int | None = None
        self._committed = self._ranking = Ranking(best_metric)
        self._stage = Stage()
        self._save: Save | None = None

    def holds(self, epoch: int) -> bool:
        """Whether this epoch can be resumed from the disk, or is the very beginning."""
        parts = self.folder.checkpoint(epoch), self.folder.state(epoch)
        return epoch == 0 or self.world.of_leader(epoch == self.last_saved and all(part.is_dir() for part in parts))

    def is_saving(self, epoch: int) -> bool:
        """Whether this epoch is being written."""
        return self._save is not None and self._save.content.epoch == epoch

    def save(self, net: ComponentNet, snapshot: Snapshot) -> None:
        """Copy the run as it is and have it written; no other save may go on. What cannot begin costs a warning."""
        assert self._save is None
        epoch, groups = snapshot.progress.epoch, {"own": snapshot.own}
        if self.world.leads:
            groups |= {"weights": net.state_dict(), "shared": snapshot.shared}
        needed = sum(part.nbytes for tensors in groups.values() for part in tensors.values())
        if why := self._prepare(epoch, sum(self.world.gather_objects(needed))):
            self._fail(epoch, why)
            return
        copies, arrived = self._stage.copy(groups)
        copied = replace(
            snapshot,
            progress=replace(snapshot.progress),
            shared=copies.get("shared", {}),
            own=copies["own"],
            ranks=self.world.size,
            ranking=self._ranking,
        )
        content = Content(net, copies.get("weights", {}), copied, arrived)
        self._save = Save(self.folder, self.settings, content, self.world.rank)

    def settle(self, wait: bool = False) -> Saved | None:
        """The checkpoint that is on disk now, if a save went on and has succeeded; a failure costs a warning. With
        `wait` none goes on afterwards."""
        if (save := self._save) is None:
            return None
        outcomes = self.world.gather_objects(save.outcome(wait))
        if not all(outcome.done for outcome in outcomes):
            return None
        self._save = None
        why = next((outcome.problem for outcome in outcomes if outcome.problem), "")
        if not why and self.world.size > 1:
            hashes = {name: digest for outcome in outcomes for name, digest in outcome.hashes.items()}
            error = attempt(lambda: save.commit(hashes)) if self.world.leads else None
            why = self.world.of_leader(told(error))
        epoch = save.content.epoch
        if why:
            self._fail(epoch, why)
            return None
        if save.untidy:
            warn(f"run {self.folder.name}: {save.untidy}; going on")
        self.last_saved, self._committed = epoch, save.content.snapshot.ranking
        return Saved(epoch, save.content.snapshot.progress.agent_steps, self._committed.best == epoch)

    def close(self) -> None:
        """Wait for a save that still goes on as the run ends with an error, and other ranks may be gone."""
        if self._save is not None and (why := self._save.outcome(wait=True).problem):
            warn(f"could not save {self.folder.checkpoint(self._save.content.epoch).name}: {why}")

    def among_best(self, epoch: int, metrics: Metrics) -> bool:
        """Whether an epoch is one of the best by its evaluation, and is to be saved for it; no save may go on."""
        assert self._save is None
        found = {name: value for name, value in metrics.items() if name.startswith(EVALUATION)}
        metric, most = self._ranking.metric, self.settings.keep_best
        if found and most and metric not in found:
            warn_once(f"checkpointer.best_metric={metric}: no evaluation has it{suggest(metric, found)}")
        value = self.world.of_leader(found.get(metric))
        if value is not None:
            self._ranking = self._committed.entered(epoch, value, most)
        return epoch in self._ranking.epochs

    def load_newest(self) -> tuple[Bundle, Snapshot] | None:
        """The newest epoch whose bundle and state are both sound; None for a run without checkpoints.

        Each broken one that is newer costs a warning. Raise UserError if there are checkpoints but none is sound.
        """
        epochs = self.world.of_leader([version.epoch for version in list_versions(self.folder.path)])
        for epoch in reversed(epochs):
            loaded, broken = None, ""
            try:
                bundle = load_bundle(self.folder.checkpoint(epoch))
                loaded = bundle, load_snapshot(self.folder.state(epoch), self.world.rank, self.world.size)
            except BrokenBundleError as error:
                broken = str(error)
            problems = [problem for problem in self.world.gather_objects(broken) if problem]
            if loaded and not problems:
                self.last_saved = epoch
                self._committed = loaded[1].ranking.of(self._ranking.metric, self.settings.keep_best)
                self._ranking = self._committed
                return loaded
            if self.world.leads:
                warn(f"{problems[0]}; taking the checkpoint before")
        if epochs:
            raise UserError(f"run={self.folder.name}: no checkpoint of it can be resumed; choose another run name")
        return None

    def _prepare(self, epoch: int, needed: int) -> str:
        """Make the folders to write to; why that cannot be."""

        def make() -> None:
            if shutil.disk_usage(self.folder.path).free < needed:
                raise OSError(errno.ENOSPC, "No space left on device")
            prepare(self.folder, epoch)

        return self.world.of_leader(told(attempt(make)) if self.world.leads else "")

    def _fail(self, epoch: int, why: str) -> None:
        """A save has failed: nothing is left of it, and its evaluation counts no more."""
        self._ranking = self._committed
        self._stage = Stage()  # a thread that was given up may still read the former one
        if self.world.leads:
            give_up(self.folder, epoch)
            last = "no checkpoint yet" if self.last_saved is None else f"the last checkpoint is v{self.last_saved}"
            warn(f"could not save {self.folder.checkpoint(epoch).name}: {why}; {last}, going on")
