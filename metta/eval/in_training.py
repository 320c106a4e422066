"""Evaluation while a network trains: a suite of missions on fixed seeds, every so many epochs."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from metta.common.errors import UserError
from metta.common.logging import warn
from metta.common.ranks import available_cores
from metta.eval.match import Match, Player, engine_version
from metta.eval.playing import Progress, play_matches
from metta.eval.replay.keeping import SUFFIX, BatchRecorder
from metta.eval.results import REWARD, MatchSummary, match_summaries
from metta.game.mission import Mission
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.interface import Policy
from metta.policy.nets.net import ComponentNet
from metta.policy.neural import NeuralPolicy
from metta.policy.stored.bundle import net_content
from metta.policy.stored.fitting import fitted
from metta.policy.stored.forms.match import Architecture
from metta.rl.build import Plan, build_network
from metta.rl.machine import choose_device, one_thread_each
from metta.rl.rendezvous import open_world
from metta.rl.run.metrics import Metrics
from metta.rl.run.run_folder import RunFolder
from metta.rl.settings import TRAINING, RunConfig
from metta.rl.trainer import Summary
from metta.rl.trainer import train as train_with
from metta.rl.world import ALONE, World


def train(config: RunConfig, world: World = ALONE) -> Summary:
    """Train with evaluation, see `metta.rl.trainer.train`."""
    return train_with(config, partial(SuiteEvaluator, world=world), world)


def train_among_ranks(config: RunConfig) -> Summary:
    """Train as one of the processes that the environment names; without such, alone."""
    with open_world(config) as world:
        return train(config, world)


class SuiteEvaluator:
    """Plays `evals` with a copy of the network every `evaluator.epoch_interval` epochs, and after the last.

    Nothing that training draws from is touched: with and without evaluation a run is the same, bit for bit.
    """

    def __init__(self, plan: Plan, world: World = ALONE) -> None:
        """Raises UserError where the run has evaluations and they cannot be played."""
        self._plan, self._settings, self._world = plan, plan.config.evaluator, world
        self._missions: dict[str, Mission] = {}
        if not self._settings.epoch_interval:
            return
        if plan.config.env.kind != "metta":
            raise UserError("evaluator.epoch_interval: only runs on the game are evaluated as they train; 0 = never")
        suite = plan.config.evals
        self._suite = suite.title
        chosen = suite.missions or {TRAINING: plan.config.mission}
        self._missions = {label: build_mission(settings) for label, settings in chosen.items()}
        net = build_network(plan)
        for label, mission in self._missions.items():
            fitted(net, f"evals.missions.{label}", env_info(mission))

    def due(self, epoch: int, last: bool) -> bool:
        return bool(self._missions) and (last or epoch % self._settings.epoch_interval == 0)

    def __call__(
        self, net: ComponentNet, epoch: int, last: bool, folder: RunFolder, stop: Callable[[], bool]
    ) -> Metrics:
        if not self.due(epoch, last):
            return {}
        every = self._settings.epoch_interval * self._settings.replay_interval
        replays = folder.replays if every and epoch % every == 0 else None
        results = self._play(net, f"{folder.name}:v{epoch}", replays, stop)
        if len(results) < len(self._missions):
            return {}
        metrics: Metrics = {}
        for label, result in zip(self._missions, results, strict=True):
            means = {name: summary.mean for name, summary in result.metrics().items()}
            metrics |= {f"eval_{self._suite}/{label}/{name}": mean for name, mean in means.items()}
        rewards = [metrics[f"eval_{self._suite}/{label}/{REWARD}"] for label in self._missions]
        return {f"eval_{self._suite}/{REWARD}": float(np.mean(rewards)), **metrics}

    def _play(self, net: ComponentNet, name: str, replays: Path | None, stop: Callable[[], bool]) -> list[MatchSummary]:
        """Play the suite, each process a part of it; the results of fewer missions where `stop` came true."""
        architecture = Architecture.of(net)
        copy = architecture.build()
        copy.load_state_dict(net.state_dict())
        content = net_content(architecture, copy.state_dict())
        copy.to(choose_device(self._plan.config.system.device))
        seeds, engine = range(self._settings.seed, self._settings.seed + self._settings.episodes), engine_version()
        matches = [
            Match(
                mission=mission,
                players=(Player(policy=content, seats=mission.agents, name=name, uri=name),),
                seeds=tuple(seeds),
                map_seeds=tuple(seeds),
                engine=engine,
            )
            for mission in self._missions.values()
        ]
        labels = {id(mission): label for label, mission in self._missions.items()}
        progress = Progress()
        progress.told = lambda done: progress.stopped.set() if stop() else None

        def build(match: Match) -> list[Policy]:
            return [NeuralPolicy(fitted(copy, labels[id(match.mission)], env_info(match.mission)), name)]

        def record(match: Match, names: Sequence[str]) -> BatchRecorder | None:
            if not replays or match.seeds[0] != seeds[0]:
                return None
            file = f"{labels[id(match.mission)]}.{name.rpartition(':')[2]}{SUFFIX}"
            return _Replay(replays, [file], [(seeds[0], seeds[0])], names)

        with one_thread_each():
            parts = [part for match in matches for part in match.parts()][self._world.rank :: self._world.size]
            own = list(play_matches(parts, build, available_cores(), progress, record))
        results = {result.match: result for part in self._world.gather_objects(own) for result in part}
        summaries = match_summaries(matches, {name: name}, results)
        return [summary for summary in summaries if summary.episodes == len(seeds)]


class _Replay(BatchRecorder):
    """Training goes on where the disk takes no replay."""

    def save(self) -> dict[int, str]:
        try:
            return super().save()
        except UserError as error:
            warn(f"{error}; going on")
            return {}
