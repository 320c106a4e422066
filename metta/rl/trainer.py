"""The training loop: collect, update on minibatches, report, save."""

import gc
import math
import time
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from metta.common.code_version import code_version
from metta.common.errors import UserError
from metta.common.logging import note, warn
from metta.policy.stored.bundle import Bundle
from metta.rl.build import Plan, build, plan_phases
from metta.rl.evaluation import Evaluator, EvaluatorOf, never
from metta.rl.learning.divergence import LARGE_REWARD, SMALLER_STEPS, DivergedError
from metta.rl.learning.optim import learning_rate, set_learning_rate
from metta.rl.learning.precision import FLOAT32
from metta.rl.machine import enough_memory
from metta.rl.run.checkpoint import Checkpointer, Progress, Snapshot
from metta.rl.run.metrics import EPOCH, Metrics, cost_metrics, timing_metrics
from metta.rl.run.phases import check_begun
from metta.rl.run.profile import EpochProfile
from metta.rl.run.reports import Reports
from metta.rl.run.resume import Start, restore, take_snapshot, take_start
from metta.rl.run.run_folder import OpenRun, RunFolder, open_run, usable
from metta.rl.run.signals import NEVER, AgreedStop, Stop, StoppedError, StopRequest
from metta.rl.run.start import Origin, start_from
from metta.rl.run.timing import Stopwatch
from metta.rl.settings import RunConfig
from metta.rl.world import ALONE, World

PATIENCE = 5.0  # seconds: an epoch that takes no longer is finished after a signal has asked to stop


@dataclass(frozen=True)
class Summary:
    """How a run ended."""

    run: str
    folder: Path
    epoch: int
    agent_steps: int
    finished: bool  # total_timesteps reached, not stopped before
    checkpoint: Path | None
    metrics: Metrics  # of the last epoch


def train(config: RunConfig, evaluator_of: EvaluatorOf = never, world: World = ALONE) -> Summary:
    """Train until total_timesteps, going on where a run of that name stopped; phase after phase where there are some.

    `evaluator_of` gives what evaluates the network of a phase. Raise UserError when that cannot be, before the first
    phase starts.
    """
    with enough_memory(f"run={config.run}"):
        plans = plan_phases(config, world)
        if config.phases:
            world.lead(lambda: check_begun(plans))
        *earlier, last = [(planned, evaluator_of(planned)) for planned in plans]
        with StopRequest() as stop:
            for planned, evaluator in earlier:
                summary = _train(planned, evaluator, stop, world)
                if not summary.finished:
                    return summary
                gc.collect()  # CUDA graphs and what they repeat hold each other, and much memory
            return _train(*last, stop, world)


def _train(planned: Plan, evaluator: Evaluator, stop: StopRequest, world: World) -> Summary:
    data_dir, held = Path(planned.config.system.data_dir), []
    with ExitStack() as opened:
        world.lead(lambda: held.append(opened.enter_context(open_run(data_dir, planned.run))))
        folder = held[0] if held else RunFolder(data_dir / planned.run)
        return Trainer(planned, folder, evaluator, world).run(stop)


class Trainer:
    """One run: its parts, how far it is, and where its results go."""

    def __init__(self, planned: Plan, folder: RunFolder, evaluator: Evaluator, world: World) -> None:
        """`folder` is open on the process that leads."""
        self.plan, self.config, self.folder, self.evaluator = planned, planned.config, folder, evaluator
        self.world = world
        self.reports: Reports | None = None
        self.checkpointer = Checkpointer(folder, self.config.checkpointer.keep)
        self.progress = Progress()
        self.metrics: Metrics = {}
        self.code = code_version()
        self.seconds = math.inf  # that an epoch is expected to take

    def run(self, stop: StopRequest) -> Summary:
        """Train to the end, or until `stop` comes true; whatever was learned is saved."""
        resumed = self.checkpointer.load_newest()
        if resumed and resumed[1].progress.agent_steps >= self.config.trainer.total_timesteps:
            return self._already_finished(resumed[1].progress)
        with ExitStack() as self.opened:
            self._build(resumed)
            self.world.lead(self._open)
            self._announce()
            self.counted_until = time.perf_counter()
            saved = self._train(AgreedStop(stop, self.world))
        if not saved:
            raise UserError(f"run={self.folder.name}: epoch {self.progress.epoch} could not be saved, see the warning")
        if self.profile:
            self.profile.close()
        self._say_end()
        return self._summary()

    def _train(self, stop: AgreedStop) -> bool:
        """Epoch after epoch. Only whole ones are ever saved: a stopped run goes on as one that was never stopped.

        Return whether the run as it is now is saved.
        """
        while not self.finished and not stop.now():
            start = self._keep_start()
            try:
                self._epoch(stop if start else NEVER)
            except StoppedError:
                return start is not None and self._go_back(start)
        return self.save()

    def _epoch(self, stop: AgreedStop) -> None:
        """Collect, learn, report, and save where that is due. Raise StoppedError if `stop` comes true before that."""
        begin = time.perf_counter()
        with self.profile.epoch() if self.profile else nullcontext():
            self.stopwatch.reset()
            guidance = self.parts.rollout.begin(self.progress.epoch, self.progress.agent_steps)
            if not self.parts.rollout.collect(self.stopwatch, stop):
                raise StoppedError
            learned, times = self.learn(stop), self.stopwatch.read()
        self.report({**learned, **guidance}, times, stop)
        if self.profile:
            self.profile.write(f"run {self.folder.name}, epoch {self.progress.epoch}", self.metrics)
        if lost := self.world.of_leader(self.reports is not None and self.reports.folder_lost):
            self.world.lead(self._make_folder_anew)
        if lost or self.progress.epoch % self.config.checkpointer.epoch_interval == 0:
            self.save()
        took = time.perf_counter() - begin
        self.seconds = self.world.of_leader(took if math.isinf(self.seconds) else max(took, self.seconds / 2))

    def _keep_start(self) -> Start | None:
        """The run before an epoch, to go back to if that is stopped midway; None where it is soon finished anyway."""
        if self.checkpointer.holds(self.progress.epoch):
            return Start(replace(self.progress))
        if self.seconds < PATIENCE and not self.evaluator.due(self.progress.epoch + 1):
            return None
        return take_start(self.plan, self.parts, self.progress)

    def _go_back(self, start: Start) -> bool:
        """Take the run back to the start of an epoch and return whether it is saved."""
        self.progress = start.progress
        if start.kept is None:
            return self.checkpointer.holds(self.progress.epoch)
        weights, snapshot = start.kept
        self.parts.net.load_state_dict(weights)
        return self._save(snapshot)

    def _build(self, resumed: tuple[Bundle, Snapshot] | None) -> None:
        self.parts = build(self.plan, self.world)
        self.opened.callback(self.parts.rollout.close)
        self.stopwatch = Stopwatch(self.parts.device)
        self.profile = (
            EpochProfile(self.folder.path, self.parts.device) if self.config.profile and self.world.leads else None
        )
        if resumed:
            self.progress = restore(self.plan, self.parts, *resumed)
            self.origin = Origin.kept(self.folder)
            note(f"run {self.folder.name}: going on from v{self.progress.epoch}")
            if self.origin and self.origin.differs(self.config.init_from):
                now = self.config.init_from or "null"
                warn(f"run={self.folder.name}: has begun with {self.origin.label}; init_from={now} changes nothing")
        else:
            self.origin = Origin()
            if self.config.init_from:
                self.origin = start_from(self.parts.net, self.config)
                note(f"run {self.folder.name}: starts with the weights of {self.origin.label}")
            self.parts.rollout.start()

    @property
    def finished(self) -> bool:
        return self.progress.agent_steps >= self.config.trainer.total_timesteps

    @property
    def share_done(self) -> float:
        """How much of training lies behind, 0 to 1; schedules follow it."""
        return min(1.0, self.progress.agent_steps / (self.plan.epochs * self.plan.shape.agent_steps))

    def learn(self, stop: Stop) -> Metrics:
        """Update on the collected batch and count it."""
        rate = learning_rate(self.config.trainer.optimizer, self.share_done)
        set_learning_rate(self.parts.optimizer, rate)
        try:
            metrics = self.parts.updater.update(self.parts.rollout.experience, self.share_done, self.stopwatch, stop)
        except DivergedError as error:
            raise self._explained(error) from error
        if metrics is None:
            raise StoppedError
        self.progress.epoch += 1
        self.progress.agent_steps += self.plan.shape.agent_steps
        return {**metrics, "hyperparameters/learning_rate": rate}

    def report(self, metrics: Metrics, times: tuple[float, dict[str, float]], stop: AgreedStop) -> None:
        """Complete the epoch's metrics, with an evaluation where one is due, and send them to file, screen and W&B.
        `times` are its seconds and those by phase."""
        seconds, phases = times
        evaluation = self.evaluator(self.parts.net, self.progress.epoch, self.folder, stop.own)
        if stop.now():
            raise StoppedError
        self._count(seconds)
        progress, rollout = self.progress, self.parts.rollout
        episodes, sides = rollout.take_episodes(self.plan.source.is_whole)
        tasks = rollout.next_tasks(episodes)
        metrics = {
            "metric/agent_step": progress.agent_steps,
            EPOCH: progress.epoch,
            "metric/train_time": progress.train_seconds,
            "metric/total_time": progress.total_seconds,
            "timing_cumulative/sps": progress.agent_steps / max(progress.train_seconds, 1e-9),
            "experience/rewards": rollout.mean_reward,
            "experience/rewards_abs_max": rollout.largest_reward,
            "experience/area_under_reward": progress.reward_area,
            "overview/reward_per_1000_steps": 1000 * rollout.mean_reward,
            **metrics,
            **timing_metrics(seconds, phases, self.plan.shape.agent_steps),
            **sides,
            **tasks,
            **evaluation,
            **cost_metrics(self.plan.hourly_cost, progress.total_seconds, self.share_done),
        }
        # All go on with the numbers of one, as those of time and machine differ.
        self.metrics = self.world.of_leader(self.reports.complete(metrics, episodes) if self.reports else metrics)
        if self.reports:
            self.reports.send(self.metrics)

    def save(self) -> bool:
        """Save a checkpoint unless this epoch has one. Return whether it has one now, or needs none."""
        if self.checkpointer.holds(self.progress.epoch):
            return True
        return self._save(take_snapshot(self.plan, self.parts, self.progress))

    def _save(self, snapshot: Snapshot) -> bool:
        saved = self.checkpointer.save(self.parts.net, snapshot)
        if saved and self.reports:
            epoch, keep = self.progress.epoch, self.config.checkpointer.keep
            path = self.folder.checkpoint(epoch)
            self.reports.tell_checkpoint(path, epoch, self.progress.agent_steps, passing=keep > 0)
        return saved

    def _make_folder_anew(self) -> None:
        """Write what is known of the run where its folder was deleted, moved or replaced while it went on, or its lock.

        Raise UserError if another process runs there by now, or nothing can be written.
        """
        assert self.reports
        if folder := self.reports.take_folder():
            self._describe_run()
        what = f"{self.folder.path} is gone, and its checkpoints with it" if folder else "its lock was removed"
        warn(f"run {self.folder.name}: {what}; made anew")

    def _open(self) -> None:
        """Describe the run and open what it is reported to."""
        self._describe_run()
        assert isinstance(self.folder, OpenRun)
        self.reports = Reports(self.plan, self.parts, self.folder, self.progress.epoch, self.code)
        self.opened.callback(self.reports.close)

    def _describe_run(self) -> None:
        with usable(self.folder.path):
            self.folder.keep_config(self.config.model_dump(mode="json"), self.progress.epoch)
            self.folder.note_start(self.progress.epoch, {**self.code, **(asdict(self.origin) if self.origin else {})})

    def _count(self, epoch_seconds: float) -> None:
        now = time.perf_counter()
        self.progress.train_seconds += epoch_seconds
        self.progress.total_seconds += now - self.counted_until
        self.progress.reward_area += self.parts.rollout.mean_reward * self.plan.shape.agent_steps
        self.counted_until = now

    def _announce(self) -> None:
        plan, folder, shape, precision = self.plan, self.folder, self.plan.shape, self.parts.precision.name
        size = sum(parameter.numel() for parameter in self.parts.net.parameters())
        where = f"{self.parts.device}" + ("" if precision == FLOAT32.name else f" in {precision}")
        where += f", {self.world.size} processes" if self.world.size > 1 else ""
        note(
            f"run {folder.name}: {plan.source.label}, {plan.config.agent.name} ({size:,} parameters) on "
            f"{where}, {shape.envs} environments x {shape.agents} agents, epochs of "
            f"{shape.agent_steps:,} agent-steps, in {folder.path}"
        )

    def _already_finished(self, progress: Progress) -> Summary:
        self.progress = progress
        note(
            f"run {self.folder.name} has finished: {progress.agent_steps:,} agent-steps of "
            f"trainer.total_timesteps={self.config.trainer.total_timesteps:,}; raise it to go on"
        )
        return self._summary()

    def _explained(self, error: DivergedError) -> DivergedError:
        saved = self.checkpointer.last_saved
        last = "there is no checkpoint yet" if saved is None else f"the last good checkpoint is v{saved}"
        advice, largest = error.advice, self.parts.rollout.largest_reward
        if advice == SMALLER_STEPS and LARGE_REWARD < largest < math.inf:
            advice = f"rewards of up to {largest:.3g} are too large, or {advice}"
        return DivergedError(
            f"run={self.folder.name}: training diverged in epoch {self.progress.epoch + 1}: {error}; {last}; {advice}"
        )

    def _summary(self) -> Summary:
        saved = self.checkpointer.last_saved
        return Summary(
            run=self.folder.name,
            folder=self.folder.path,
            epoch=self.progress.epoch,
            agent_steps=self.progress.agent_steps,
            finished=self.finished,
            checkpoint=None if saved is None else self.folder.checkpoint(saved),
            metrics=self.metrics,
        )

    def _say_end(self) -> None:
        saved = self.checkpointer.last_saved
        where = "nothing to save yet" if saved is None else f"saved as {self.folder.checkpoint(saved)}"
        how = "finished" if self.finished else "stopped; the same command goes on from here"
        note(f"run {self.folder.name}: {self.progress.agent_steps:,} agent-steps, {where}; {how}")
