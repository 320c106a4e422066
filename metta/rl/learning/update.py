"""One update: minibatches of segments through the network, the sum of the enabled losses, a gradient step each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from metta.policy.nets.interface import NetOutput, PolicyNet
from metta.rl.experience.rollout import Experience
from metta.rl.learning.advantage import compute_advantages
from metta.rl.learning.backprop import Backprop
from metta.rl.learning.divergence import (
    AT_ONCE,
    DivergedError,
    LaterChecks,
    Skips,
    check_advantages,
    check_experience,
    check_finite,
    together,
)
from metta.rl.learning.gradients import Gradients
from metta.rl.learning.graphs import Captured
from metta.rl.learning.losses.base import Loss, Minibatch, Prediction, predict
from metta.rl.learning.moments import moments
from metta.rl.learning.precision import FLOAT32, Precision
from metta.rl.learning.sampling import Draw, SegmentSampler
from metta.rl.learning.settings import TrainerSettings
from metta.rl.run.metrics import Mean, Metrics
from metta.rl.run.timing import Stopwatch
from metta.rl.sizes import BatchShape
from metta.rl.world import ALONE, World

MOST_SHARES = 64  # actions; the shares of more tell nobody anything


@dataclass(frozen=True)
class Lately:
    """What the network said when it last saw a segment, and what follows from that; all [time, segments]."""

    values: Tensor
    ratios: Tensor  # probability of each action over the one when it was taken
    advantages: Tensor

    @classmethod
    def of(cls, experience: Experience) -> "Lately":
        """At the start of an update."""
        values = experience.values.clone()
        return cls(values, experience.first_ratios(), torch.empty_like(values))

    def note(self, segments: Tensor, prediction: Prediction) -> None:
        """It has just said that of segments int64 [n]."""
        self.ratios[:, segments] = prediction.log_ratios.detach().exp()
        self.values[:, segments] = prediction.values.detach()


class Updater:
    """Learns from one batch of experience after another, of which each process has a part."""

    def __init__(
        self,
        net: PolicyNet,
        optimizer: torch.optim.Optimizer,
        losses: dict[str, Loss],
        sampler: SegmentSampler,
        settings: TrainerSettings,
        shape: BatchShape,
        precision: Precision = FLOAT32,
        check_later: bool | None = None,
        repeat: bool = False,
        world: World = ALONE,
    ) -> None:
        """`check_later`: look at the end of an update, not after each minibatch, for numbers that are not finite;
        default: on CUDA, which would have to be waited for, and with several processes, which fail together.
        `repeat`: minibatches are the same work on the same tensors, which CUDA graphs repeat; not with a teacher
        (`graphs.obstacle`)."""
        self.net, self.optimizer, self.losses, self.sampler = net, optimizer, losses, sampler
        self.settings, self.shape, self.world = settings, shape, world
        self._parameters = list(net.parameters())
        self._backprop = Backprop(net, precision, settings.accumulate, world)
        later = precision.device.type == "cuda" or world.size > 1 if check_later is None else check_later
        self._checks = LaterChecks(precision.device) if later else AT_ONCE
        self._checks.guard(optimizer)
        # Whether checks are read after each minibatch: not where a device would be waited for.
        self._read_each = not later or (world.size > 1 and precision.device.type == "cpu")
        self._skips = Skips(settings.divergence.skips)
        self._gradients = Gradients(self._parameters, world, keep=repeat)
        self._repeat = repeat
        self._repeated: RepeatedMinibatch | None = None

    def update(
        self, experience: Experience, progress: float, stopwatch: Stopwatch, stop: Callable[[], bool]
    ) -> Metrics | None:
        """Learn from `experience` at `progress` (0 to 1) of training. Return None, having learned from a part of it, if
        `stop` came true between two minibatches.

        As in PufferLib 3, advantages are computed anew for every minibatch: with the probability ratios and values
        that the segments visited so far have under the present network. A step is left out where a loss or a gradient
        is not finite. Raise DivergedError for such a number in the experience, and for the first of too many in a row;
        the weights are then those before that step.
        """
        agents = self.net.info.num_agents
        together(self.world, lambda: check_experience(experience, self.shape, agents, self.world))
        mean, limit = Mean(), self.settings.losses.ppo_actor.target_kl
        lately = self._start(experience)
        self.sampler.start(self.shape.segments, progress, experience.labels and experience.labels.ppo_mask)
        for _ in range(self.shape.minibatches):
            if stop():
                return None
            if (metrics := self._attempt(experience, lately, stopwatch)) is None:
                continue
            mean.add(metrics)
            if limit is not None and float(self.world.sum(metrics.get("approx_kl", torch.zeros(())).clone())) > limit:
                break
        self._read_checks()
        self._check_weights()
        skipped, self._skips.counted = self._skips.counted, 0
        scheduled = {f"hyperparameters/{name}": value for name, value in self.sampler.scheduled.items()}
        learned = {**mean.read("losses/", self.world), "losses/skipped_steps": skipped}
        return {**learned, **scheduled, **self._experience_metrics(experience, lately)}

    def _attempt(self, experience: Experience, lately: Lately, stopwatch: Stopwatch) -> dict[str, Tensor] | None:
        """Learn from a minibatch and return what is reported; None where that step was left out."""
        try:
            with stopwatch.phase("advantage"):
                self._advantages(experience, lately.values, lately.ratios, lately.advantages)
                draw = self.sampler.draw(self.shape.minibatch_segments, lately.advantages, self._checks)
            metrics = self._minibatch(experience, lately, draw, stopwatch)
        except DivergedError as error:
            self._gradients.clear()
            self._skips.skip(error)
            return None
        if self._read_each:
            return metrics if self._read_checks() else None
        return metrics

    def _read_checks(self) -> bool:
        """Whether no check has failed since they were read. Where one has, on any process, the optimiser has taken no
        step since."""
        try:
            if self._checks.failed is None or bool(self._checks.failed):
                together(self.world, self._checks.read)
        except DivergedError as error:
            self._skips.skip(error)
            return False
        self._skips.passed()
        return True

    def _start(self, experience: Experience) -> Lately:
        """Before the first minibatch. What is repeated has the same tensors as long as it is the same experience."""
        if not self._repeat:
            return Lately.of(experience)
        if self._repeated is None or self._repeated.experience is not experience:
            size = self.shape.minibatch_segments
            self._repeated = RepeatedMinibatch(experience, size, self._learn, self._step, self._backprop)
        return self._repeated.start()

    def _minibatch(self, experience: Experience, lately: Lately, draw: Draw, stopwatch: Stopwatch) -> dict[str, Tensor]:
        """Learn from the drawn segments and return what is reported."""
        if self._repeated:
            return self._repeated(draw, stopwatch)
        metrics = self._learn(experience, lately, draw, stopwatch)
        with stopwatch.phase("optimizer"):
            return {**metrics, "gradient_norm": self._step()}

    def _learn(self, experience: Experience, lately: Lately, draw: Draw, stopwatch: Stopwatch) -> dict[str, Tensor]:
        """Give the parameters their gradients, note what the network says, and return what the losses report."""
        with stopwatch.phase("advantage"):
            batch = gather(experience, draw.segments, lately.values, lately.advantages, draw.weights)
            if self.world.size > 1:
                batch = replace(batch, total=self.shape.minibatch_segments, world=self.world)
        prediction, metrics = self.differentiate(experience, draw.segments, batch, stopwatch)
        lately.note(draw.segments, prediction)
        return metrics

    def differentiate(
        self, experience: Experience, segments: Tensor, batch: Minibatch, stopwatch: Stopwatch
    ) -> tuple[Prediction, dict[str, Tensor]]:
        """Give the net's parameters, which have none or zeros, the gradients of the losses over segments int64 [n] of
        the experience, and return what it predicts and what the losses report."""
        return self._backprop(experience, segments, partial(self._total_loss, batch), stopwatch)

    def _advantages(self, experience: Experience, values: Tensor, ratios: Tensor, out: Tensor) -> None:
        compute_advantages(
            experience.rewards,
            values,
            experience.next_values,
            experience.dones,
            ratios,
            self.settings.advantage,
            out,
        )
        check_advantages(out, self.shape, self.net.info.num_agents, self._checks, self.world)

    def _total_loss(self, batch: Minibatch, output: NetOutput) -> tuple[Tensor, tuple[Prediction, dict[str, Tensor]]]:
        """The sum of the losses, and what the net predicted with what is reported."""
        prediction = predict(output, batch)
        for loss in self.losses.values():
            batch = loss.prepare(batch, prediction)
        results = [loss(batch, prediction) for loss in self.losses.values()]
        metrics = {name: value for result in results for name, value in result.metrics.items()}
        total = torch.stack([result.loss for result in results]).sum()
        check_finite("total_loss", total.detach(), metrics, self._checks)
        return total, (prediction, metrics)

    def _step(self) -> Tensor:
        """Take a step along the gradients of all processes and return this one's part of their norm."""
        self._gradients.join(self._checks.failed)
        norm = nn.utils.clip_grad_norm_(self._parameters, self.settings.max_grad_norm)
        check_finite("gradient_norm", norm, {}, self._checks)
        self.optimizer.step()
        self._gradients.clear()
        return norm / self.world.size

    def _check_weights(self) -> None:
        check_finite("weight_norm", nn.utils.get_total_norm(self._parameters).detach(), {})

    def _experience_metrics(self, experience: Experience, lately: Lately) -> Metrics:
        values, advantages = experience.for_ppo(lately.values), experience.for_ppo(lately.advantages)
        spread = float(moments(advantages + values, self.world).variance)
        beyond = moments(advantages, self.world)  # of the returns beyond the values

        def mean(numbers: Tensor) -> float:
            return float(moments(numbers, self.world).mean)

        return {
            "losses/explained_variance": 1 - float(beyond.variance) / spread if spread > 0 else 0.0,
            "experience/values": mean(experience.values),
            "experience/values_abs": mean(values.abs()),
            "experience/advantages": float(beyond.mean),
            "experience/advantages_abs": mean(advantages.abs()),
            **_entropy(experience, self.world),
            **_action_shares(experience.actions, self.net.info.action_names, self.world),
        }


class RepeatedMinibatch:
    """Minibatches of one experience, each the same work on the same tensors. Gradients and the optimiser's step are
    apart: what joins the gradients of several processes cannot be captured."""

    def __init__(
        self,
        experience: Experience,
        size: int,
        learn: Callable[[Experience, Lately, Draw, Stopwatch], dict[str, Tensor]],
        step: Callable[[], Tensor],
        backprop: Backprop,
    ) -> None:
        """`size` in segments; `learn` and `step` as of `Updater`; `backprop` is what they use."""
        self.experience, self._backprop = experience, backprop
        self._lately, device = Lately.of(experience), experience.values.device
        self._draw = Draw(torch.zeros(size, dtype=torch.int64, device=device), torch.zeros(size, device=device))

        def report() -> tuple[list[str], Tensor]:
            metrics = learn(experience, self._lately, self._draw, Stopwatch())
            return list(metrics), torch.stack(list(metrics.values()))

        self._learned = Captured("learning from a minibatch", report, device)
        self._stepped = Captured("the optimiser's step", step, device)

    def start(self) -> Lately:
        """An update begins, after which everything is seen anew."""
        self._lately.values.copy_(self.experience.values)
        self._lately.ratios.copy_(self.experience.first_ratios())
        return self._lately

    def __call__(self, draw: Draw, stopwatch: Stopwatch) -> dict[str, Tensor]:
        """Learn from the drawn segments and return what is reported, in tensors that stay."""
        self._draw.segments.copy_(draw.segments)
        self._draw.weights.copy_(draw.weights)
        parts = self._backprop.parts
        with stopwatch.phase("minibatch"):
            names, report = self._learned()
            values = report.clone().unbind()
        if self._backprop.parts > parts:
            self._learned.give_up("a graph needs memory of its own, and a minibatch ran out of it")
        with stopwatch.phase("optimizer"):
            norm = self._stepped().clone()
        return {**dict(zip(names, values, strict=True)), "gradient_norm": norm}


def gather(experience: Experience, segments: Tensor, values: Tensor, advantages: Tensor, weights: Tensor) -> Minibatch:
    """The chosen segments of a batch, with the present values and advantages."""

    def pick(part: Tensor) -> Tensor:
        return part.index_select(1, segments)

    return Minibatch(
        actions=pick(experience.actions),
        log_probs=pick(experience.log_probs),
        values=pick(values),
        advantages=pick(advantages),
        rewards=pick(experience.rewards),
        dones=pick(experience.dones),
        weights=weights,
        labels=experience.labels and experience.labels.pick(segments),
    )


def _action_shares(actions: Tensor, names: tuple[str, ...], world: World) -> Metrics:
    if len(names) > MOST_SHARES:
        return {}
    counts = world.sum(torch.bincount(actions.flatten(), minlength=len(names))).tolist()
    return {f"experience/actions/{name}": count / sum(counts) for name, count in zip(names, counts, strict=True)}


def _entropy(experience: Experience, world: World) -> Metrics:
    """Of the policy that played, in nats, from the probabilities of its own actions; none where only a teacher led."""
    log_probs, labels = experience.log_probs, experience.labels
    own = log_probs if labels is None else log_probs[:, ~labels.teacher_led_mask]
    found = moments(own, world)
    return {"experience/entropy": -float(found.mean)} if int(found.size) else {}
