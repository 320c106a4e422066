"""The training loop: collect, update on minibatches, report, save."""

import gc
import math
import time
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from metta.common.code_version import code_version
from metta.common.logging import note, warn
from metta.policy.stored.bundle import Bundle
from metta.rl.build import Plan, build, plan_phases
from metta.rl.evaluation import Evaluator, EvaluatorOf, never
from metta.rl.learning.divergence import LARGE_REWARD, SMALLER_STEPS, DivergedError
from metta.rl.learning.optim import learning, learning_rate, set_learning_rate
from metta.rl.learning.precision import FLOAT32
from metta.rl.machine import enough_memory
from metta.rl.run.agreed_stop import NEVER, AgreedStop
from metta.rl.run.checkpoint import Checkpointer
from metta.rl.run.metrics import EPOCH, SCORE_NOW, Metrics, cost_metrics, timing_metrics
from metta.rl.run.phases import check_begun
from metta.rl.run.profile import EpochProfile
from metta.rl.run.reports import Reports
from metta.rl.run.resume import Start, restore, take_snapshot, take_start
from metta.rl.run.run_folder import OpenRun, RunFolder, open_run
from metta.rl.run.run_lock import usable
from metta.rl.run.signals import Stop, StoppedError, StopRequest
from metta.rl.run.snapshot import Progress, Snapshot
from metta.rl.run.start import Origin, start_from
from metta.rl.run.time_limit import TimeLimit
from metta.rl.run.timing import Stopwatch
from metta.rl.settings import RunConfig
from metta.rl.world import ALONE, World, shared_error

PATIENCE = 5.0  # seconds: an epoch that takes no longer is finished after a signal has asked to stop


@dataclass(frozen=True)
class Summary:
    """How a run ended."""

    run: str
    folder: Path
    epoch: int
    agent_steps: int
    finished: bool  # total_timesteps reached, not stopped before
    stopped: bool  # by a signal
    checkpoint: Path | None
    metrics: Metrics  # of the last epoch


def train(config: RunConfig, evaluator_of: EvaluatorOf = never, world: World = ALONE) -> Summary:
    """Train until total_timesteps, or for max_minutes, going on where a run of that name stopped; phase after phase
    where there are some.

    `evaluator_of` gives what evaluates the network of a phase. Raise UserError when that cannot be, before the first
    phase starts.
    """
    with enough_memory(f"run={config.run}"):
        with world.together():
            plans = plan_phases(config, world)
        if config.phases:
            world.lead(lambda: check_begun(plans))
        with world.together():
            *earlier, last = [(planned, evaluator_of(planned)) for planned in plans]
        limit = TimeLimit(config.trainer.max_minutes, world)
        with StopRequest(config.system.grace_seconds) as stop:
            for planned, evaluator in earlier:
                summary = _train(planned, evaluator, stop, world, limit)
                if not summary.finished:
                    return summary
                gc.collect()  # CUDA graphs and what they repeat hold each other, and much memory
            return _train(*last, stop, world, limit)


def _train(planned: Plan, evaluator: Evaluator, stop: StopRequest, world: World, limit: TimeLimit) -> Summary:
    data_dir, held = Path(planned.config.system.data_dir), []
    with ExitStack() as opened:
        world.lead(lambda: held.append(opened.enter_context(open_run(data_dir, planned.run))))
        folder, returns = held[0] if held else RunFolder(data_dir / planned.run), 0
        while True:
            trainer = Trainer(planned, folder, evaluator, world, limit, returns)
            try:
                return trainer.run(stop)
            except DivergedError as error:
                if not trainer.may_return(error):
                    raise
                returns = trainer.progress.returns + 1
                most, slower = planned.config.trainer.divergence.returns, planned.config.trainer.divergence.slower
                warn(f"{error}; back to it, learning {slower:g} times as fast ({returns} of {most} returns)")


class Trainer:
    """One run: its parts, how far it is, and where its results go."""

    def __init__(
        self, planned: Plan, folder: RunFolder, evaluator: Evaluator, world: World, limit: TimeLimit, returns: int = 0
    ) -> None:
        """`folder` is open on the process that leads. The run has come back to its last checkpoint `returns` times, or
        as often as that says."""
        self.plan, self.config, self.folder, self.evaluator = planned, planned.config, folder, evaluator
        self.world, self.limit = world, limit
        self.reports: Reports | None = None
        self.checkpointer = Checkpointer(folder, self.config.checkpointer, self.config.best_metric, world)
        self.progress, self._returns = Progress(), returns
        self.stopped = False  # by a signal
        self.metrics: Metrics = {}
        self.code = code_version()
        self.seconds = math.inf  # that an epoch is expected to take

    def run(self, stop: StopRequest) -> Summary:
        """Train to the end, or until `stop` comes true; whatever was learned is saved."""
        resumed = self.checkpointer.load_newest()
        if resumed and resumed[1].progress.agent_steps >= self.config.trainer.total_timesteps:
            return self._already_finished(resumed[1].progress)
        with ExitStack() as self.opened:
            self.opened.callback(self.checkpointer.close)
            self._build(resumed)
            self.world.lead(self._open)
            self._announce()
            self.counted_until = time.perf_counter()
            saved = self._train(AgreedStop(stop, self.world))
        if not saved:
            problem = f"run={self.folder.name}: epoch {self.progress.epoch} could not be saved, see the warning"
            raise shared_error(problem, 0)
        if self.profile:
            self.profile.close()
        self._say_end()
        return self._summary()

    def _train(self, stop: AgreedStop) -> bool:
        """Epoch after epoch. Only whole ones are ever saved: a stopped run goes on as one that was never stopped.

        Return whether the run as it is now is saved.
        """
        while not self.ended and not stop.now():
            start = self._keep_start()
            try:
                self._epoch(stop if start else NEVER)
            except StoppedError:
                self.stopped = True
                return start is not None and self._go_back(start)
        self.stopped = not self.ended
        return self.save()

    def _epoch(self, stop: AgreedStop) -> None:
        """Collect, learn, report, and save where that is due. Raise StoppedError if `stop` comes true before that."""
        begin = time.perf_counter()
        self._settle(wait=self.config.trainer.dual_policy.plays_checkpoints)
        with self.profile.epoch() if self.profile else nullcontext():
            self.stopwatch.reset()
            scheduled = self.plan.schedules.begin(self.progress.agent_steps)
            guidance = self.parts.rollout.begin(self.progress.epoch, self.progress.agent_steps)
            if not self.parts.rollout.collect(self.stopwatch, stop):
                raise StoppedError
            learned, times = self.learn(stop), self.stopwatch.read()
        self.report({**learned, **scheduled, **guidance}, times, stop)
        if self.profile:
            self.profile.write(f"run {self.folder.name}, epoch {self.progress.epoch}", self.metrics)
        self._settle()
        if lost := self.world.of_leader(self.reports is not None and self.reports.folder_lost):
            self.world.lead(self._make_folder_anew)
        among_best = self._is_among_best()
        if lost or among_best or self.progress.epoch % self.config.checkpointer.epoch_interval == 0:
            self._save(take_snapshot(self.plan, self.parts, self.progress))
        took = time.perf_counter() - begin
        self.seconds = self.world.of_leader(took if math.isinf(self.seconds) else max(took, self.seconds / 2))

    def _keep_start(self) -> Start | None:
        """The run before an epoch, to go back to if that is stopped midway; None where it is soon finished anyway."""
        epoch = self.progress.epoch
        if self.checkpointer.is_saving(epoch) or self.checkpointer.holds(epoch):
            return Start(replace(self.progress))
        may_be_last = self.limit.left is not None or self.progress.epoch + 1 >= self.plan.epochs
        if self.seconds < PATIENCE and not self.evaluator.due(self.progress.epoch + 1, may_be_last):
            return None
        return take_start(self.plan, self.parts, self.progress)

    def _go_back(self, start: Start) -> bool:
        """Take the run back to the start of an epoch and return whether it is saved."""
        self.progress = start.progress
        if start.kept is not None:
            weights, snapshot = start.kept
            self.parts.net.load_state_dict(weights)
            self._save(snapshot)
        self._settle(wait=True)
        return self.checkpointer.holds(self.progress.epoch)

    def _build(self, resumed: tuple[Bundle, Snapshot] | None) -> None:
        self.parts = build(self.plan, self.world)
        self.opened.callback(self.parts.rollout.close)
        self.stopwatch = Stopwatch(self.parts.device)
        self.profile = (
            EpochProfile(self.folder.path, self.parts.device) if self.config.profile and self.world.leads else None
        )
        if resumed:
            self.progress = restore(self.plan, self.parts, *resumed, self.world)
            self.progress.returns = max(self.progress.returns, self._returns)
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
    def ended(self) -> bool:
        """Whether no epoch follows, signals apart."""
        return self.finished or self.limit.over

    @property
    def share_done(self) -> float:
        """How much of training lies behind, 0 to 1; schedules follow it."""
        return min(1.0, self.progress.agent_steps / (self.plan.epochs * self.plan.shape.agent_steps))

    def learn(self, stop: Stop) -> Metrics:
        """Update on the collected batch and count it."""
        rate = learning_rate(self.plan.schedules.trainer.optimizer, self.share_done)
        rate *= self.config.trainer.divergence.slower**self.progress.returns
        set_learning_rate(self.parts.optimizer, rate)
        try:
            with learning(self.parts.optimizer):
                experience = self.parts.rollout.experience
                metrics = self.parts.updater.update(experience, self.share_done, self.stopwatch, stop)
        except DivergedError as error:
            raise self._explained(error) from error
        if metrics is None:
            raise StoppedError
        self.progress.epoch += 1
        self.progress.agent_steps += self.plan.shape.agent_steps
        self.limit.end_epoch()
        return {**metrics, "hyperparameters/learning_rate": rate}

    def report(self, metrics: Metrics, times: tuple[float, dict[str, float]], stop: AgreedStop) -> None:
        """Complete the epoch's metrics, with an evaluation where one is due, and send them to file, screen and W&B.
        `times` are its seconds and those by phase."""
        seconds, phases = times
        evaluation = self.evaluator(self.parts.net, self.progress.epoch, self.ended, self.folder, stop.own)
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
            SCORE_NOW: 1000 * rollout.mean_reward,
            **metrics,
            **timing_metrics(seconds, phases, self.plan.shape.agent_steps),
            **sides,
            **tasks,
            **evaluation,
            **cost_metrics(self.plan.hourly_cost, progress.total_seconds, self.share_done),
        }
        # All go on with the numbers of one, as those of time and machine differ.
        self.metrics = self.world.of_leader(self.reports.complete(metrics, episodes) if self.reports else metrics)
        self.plan.schedules.look(self.metrics, progress.agent_steps)
        if self.reports:
            self.reports.send(self.metrics)

    def save(self) -> bool:
        """Save a checkpoint unless this epoch has one, and wait until it is written. Return whether it has one now, or
        needs none."""
        self._settle(wait=True)
        if not self.checkpointer.holds(self.progress.epoch):
            self._save(take_snapshot(self.plan, self.parts, self.progress))
            self._settle(wait=True)
        return self.checkpointer.holds(self.progress.epoch)

    def _save(self, snapshot: Snapshot) -> None:
        """Have a checkpoint written while training goes on, once the one before is."""
        self._settle(wait=True)
        self.checkpointer.save(self.parts.net, snapshot)

    def _settle(self, wait: bool = False) -> None:
        """Tell of the checkpoint that has been written, if one has."""
        if saved := self.checkpointer.settle(wait):
            self.parts.rollout.publish(saved.epoch)
            if self.reports:
                passing = self.config.checkpointer.keep_last > 0
                self.reports.tell_checkpoint(self.folder.checkpoint(saved.epoch), saved, passing)

    def _is_among_best(self) -> bool:
        """Whether the epoch has been evaluated as one of the best, and is to be saved for that."""
        if not self.evaluator.due(self.progress.epoch, self.ended):
            return False
        self._settle(wait=True)  # whether the one before is there decides which are the best
        return self.checkpointer.among_best(self.progress.epoch, self.metrics)

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
        self.reports = Reports(self.plan, self.parts, self.folder, self.progress.epoch, self.code, self.limit)
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
            f"run {folder.name}: {plan.source.name}, {plan.config.agent.name} ({size:,} parameters) on "
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

    def may_return(self, error: DivergedError) -> bool:
        """Whether the run may go back to its last checkpoint and learn in smaller steps from there."""
        there = self.checkpointer.last_saved is not None
        return there and error.by_learning and self.progress.returns < self.config.trainer.divergence.returns

    def _explained(self, error: DivergedError) -> DivergedError:
        self._settle(wait=True)
        saved = self.checkpointer.last_saved
        last = "there is no checkpoint yet" if saved is None else f"the last good checkpoint is v{saved}"
        advice, largest = error.advice, self.parts.rollout.largest_reward
        if advice == SMALLER_STEPS and LARGE_REWARD < largest < math.inf:
            advice = f"rewards of up to {largest:.3g} are too large, or {advice}"
        return DivergedError(
            f"run={self.folder.name}: training diverged in epoch {self.progress.epoch + 1}: {error}; {last}; {advice}",
            error.advice,
        )

    def _summary(self) -> Summary:
        saved = self.checkpointer.last_saved
        return Summary(
            run=self.folder.name,
            folder=self.folder.path,
            epoch=self.progress.epoch,
            agent_steps=self.progress.agent_steps,
            finished=self.finished,
            stopped=self.stopped,
            checkpoint=None if saved is None else self.folder.checkpoint(saved),
            metrics=self.metrics,
        )

    def _say_end(self) -> None:
        saved = self.checkpointer.last_saved
        where = "nothing to save yet" if saved is None else f"saved as {self.folder.checkpoint(saved)}"
        over = f"its {self.config.trainer.max_minutes or 0:g} minutes are over (trainer.max_minutes)"
        how = "stopped" if self.stopped else "finished" if self.finished else over
        note(f"run {self.folder.name}: {self.progress.agent_steps:,} agent-steps, {where}; {how}")
