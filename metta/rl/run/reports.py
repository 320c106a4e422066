"""Where a run's metrics go: the file, the screen and W&B. Only the process that leads has them."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from metta.common.jsonl import read_rows
from metta.common.logging import warn
from metta.game.engine.batch import Episode
from metta.rl.build import Parts, Plan
from metta.rl.run.checkpoint import Saved
from metta.rl.run.collapse import CollapseWatch
from metta.rl.run.metrics import EpisodeMetrics, Metrics, MetricsFile
from metta.rl.run.monitor import MachineMonitor
from metta.rl.run.progress import ProgressView
from metta.rl.run.run_folder import OpenRun
from metta.rl.run.run_lock import usable
from metta.rl.run.time_limit import TimeLimit
from metta.rl.run.wandb_logger import WandbLogger
from metta.rl.schedule import largest


class Reports:
    """Opened for a run that goes on after an epoch. As a context manager it holds the terminal."""

    def __init__(
        self, plan: Plan, parts: Parts, folder: OpenRun, epoch: int, code: dict[str, Any], limit: TimeLimit
    ) -> None:
        """Raise UserError where a file cannot be written."""
        config, source = plan.config, plan.source
        self._folder = folder
        with ExitStack() as opened:  # closes what is open, the last first, also if the next fails
            with usable(folder.path):
                self._file = MetricsFile(folder.metrics, epoch)
            opened.callback(self._file.close)
            attributes = source.attributes(parts.rollout.env) | {"seed": config.system.seed}
            self._episode_metrics = EpisodeMetrics(source.label, source.always, self._file.earlier, attributes)
            actions, gamma = len(source.info.action_names), largest(config.trainer.advantage.gamma)
            self._watch = CollapseWatch(folder.name, actions, gamma, parts.updater.losses)
            self._watch.recall(read_rows(folder.metrics))
            self._wandb = WandbLogger(config.wandb, folder, config.model_dump(mode="json"), code)
            opened.callback(self._wandb.finish)
            self._monitor = MachineMonitor(parts)
            plain = config.system.log_outputs
            self._view = ProgressView(folder.name, config.trainer.total_timesteps, limit, plain=plain)
            opened.enter_context(self._view)
            self._opened = opened.pop_all()

    def complete(self, metrics: Metrics, episodes: Sequence[Episode]) -> Metrics:
        """An epoch's metrics with those of its episodes and of the machine, and with signs of collapse."""
        metrics = metrics | self._episode_metrics(episodes) | self._monitor.read()
        return metrics | self._watch(metrics)

    def send(self, metrics: Metrics) -> None:
        """Write, show and log an epoch's metrics. A disk that takes none costs a warning."""
        try:
            self._file.write(metrics)
            if not self._folder.lock.lost and self._file.write_again():
                warn(f"run {self._folder.name}: {self._folder.metrics} is gone; made anew")
        except OSError as error:
            warn(f"could not write {self._folder.metrics}: {error.strerror}; going on")
        self._wandb.log(metrics)
        self._view.show(metrics)

    def tell_checkpoint(self, path: Path, saved: Saved, passing: bool) -> None:
        """A checkpoint was saved; `passing`: it will be removed when newer ones are there."""
        self._view.checkpoint = f"v{saved.epoch}"
        self._wandb.log_checkpoint(path, saved.epoch, saved.agent_steps, passing=passing, best=saved.best)

    @property
    def folder_lost(self) -> bool:
        """Whether the run's folder was deleted, moved or replaced, or its lock."""
        return self._folder.lock.lost

    def take_folder(self) -> bool:
        """Hold the folder again, made anew with the metrics; return whether more than the lock was gone. Raise
        UserError if another process runs there by now, or nothing can be written."""
        self._folder.lock.take()
        with usable(self._folder.path):
            return self._file.write_again()

    def close(self) -> None:
        self._opened.close()
