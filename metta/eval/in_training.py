"""Evaluation while a network trains: a suite of missions on fixed seeds, every so many epochs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from metta.common.errors import UserError
from metta.common.logging import warn
from metta.eval.episodes import BATCH, StopPlayingError, Watcher, metrics_by_name, play_batch
from metta.eval.replay.keeping import SUFFIX, BatchRecorder
from metta.game.engine.batch import EnvBatch, Episode
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.fitting import fitted
from metta.policy.interface import Policy
from metta.policy.neural import NeuralPolicy
from metta.policy.team import TeamPolicy
from metta.rl.build import Plan, build_network
from metta.rl.machine import available_cores, choose_device
from metta.rl.metrics import Metrics
from metta.rl.run_folder import RunFolder
from metta.rl.settings import RunConfig
from metta.rl.trainer import Summary
from metta.rl.trainer import train as train_with

TRAINING = "training"  # name of the suite that has only the mission of the run


def train(config: RunConfig) -> Summary:
    """Train with evaluation, see `metta.rl.trainer.train`."""
    return train_with(config, SuiteEvaluator)


@dataclass
class _StopCheck:
    """Ends a batch when training is asked to stop."""

    stop: Callable[[], bool]

    def begin(self, batch: EnvBatch, policy: Policy) -> None:
        return

    def step(self, actions: np.ndarray, rewards: np.ndarray) -> None:
        if self.stop():
            raise StopPlayingError


class SuiteEvaluator:
    """Plays `evals` with a copy of the network every `evaluator.epoch_interval` epochs.

    Nothing that training draws from is touched: with and without evaluation a run is the same, bit for bit.
    """

    def __init__(self, plan: Plan) -> None:
        """Raises UserError where the run has evaluations and they cannot be played."""
        self._plan, self._settings = plan, plan.config.evaluator
        self._missions: dict[str, Mission] = {}
        if not self._settings.epoch_interval:
            return
        if plan.config.env.kind != "metta":
            raise UserError("evaluator.epoch_interval: only runs on the game are evaluated as they train; 0 = never")
        suite = plan.config.evals
        self._suite = suite.name or TRAINING
        chosen = suite.missions or {TRAINING: plan.config.mission}
        self._missions = {label: build_mission(settings) for label, settings in chosen.items()}
        net = build_network(plan)
        for label, mission in self._missions.items():
            fitted(net, f"evals.missions.{label}", env_info(mission))

    def __call__(self, net: nn.Module, epoch: int, folder: RunFolder, stop: Callable[[], bool]) -> Metrics:
        if not self._missions or epoch % self._settings.epoch_interval:
            return {}
        copy = build_network(self._plan)
        copy.load_state_dict(net.state_dict())
        copy.to(choose_device(self._plan.config.system.device))
        metrics: Metrics = {}
        every = self._settings.epoch_interval * self._settings.replay_interval
        replays = folder.replays if every and epoch % every == 0 else None
        try:
            for label, mission in self._missions.items():
                policy = NeuralPolicy(fitted(copy, label, env_info(mission)), f"{folder.name}:v{epoch}")
                replay = replays / f"{label}.v{epoch}{SUFFIX}" if replays else None
                values = metrics_by_name(self._play(mission, policy, stop, replay))
                metrics |= {
                    f"eval_{self._suite}/{label}/{name}": float(np.mean(numbers)) for name, numbers in values.items()
                }
        except StopPlayingError:
            return {}
        rewards = [metrics[f"eval_{self._suite}/{label}/reward"] for label in self._missions]
        return {f"eval_{self._suite}/reward": float(np.mean(rewards)), **metrics}

    def _play(self, mission: Mission, policy: Policy, stop: Callable[[], bool], replay: Path | None) -> list[Episode]:
        """Play the episodes of a mission, the first of them into `replay`."""
        episodes, seed, threads = self._settings.episodes, self._settings.seed, available_cores()
        maps, team, finished = build_pool(mission, episodes, seed, threads), TeamPolicy([policy], [mission.agents]), []
        for start in range(0, episodes, BATCH):
            watchers: list[Watcher] = [_StopCheck(stop)]
            recorder = BatchRecorder(replay.parent, [replay.name], [seed], [policy.name]) if replay else None
            if recorder and start == 0:
                watchers.append(recorder)
            finished += play_batch(mission, team, maps[start : start + BATCH], seed + start, threads, watchers)
            if recorder and start == 0:
                _save(recorder)
        return finished


def _save(recorder: BatchRecorder) -> None:
    """Training goes on where the disk takes no replay."""
    try:
        recorder.save()
    except UserError as error:
        warn(f"{error}; going on")
