"""One update: minibatches of segments through the network, the sum of the enabled losses, a gradient step each."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from metta.policy.interface import NetOutput, PolicyNet
from metta.rl.advantage import compute_advantages
from metta.rl.backprop import Backprop
from metta.rl.divergence import AT_ONCE, LaterChecks, check_advantages, check_experience, check_finite
from metta.rl.losses.base import Loss, Minibatch, Prediction, predict
from metta.rl.metrics import Mean, Metrics
from metta.rl.precision import FLOAT32, Precision
from metta.rl.rollout import Experience
from metta.rl.sampling import SegmentSampler
from metta.rl.settings import TrainerSettings
from metta.rl.sizes import BatchShape
from metta.rl.timing import Stopwatch

MOST_SHARES = 64  # actions; the shares of more tell nobody anything


class Updater:
    """Learns from one batch of experience after another."""

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
    ) -> None:
        """`check_later`: look at the end of an update, not after each minibatch, for numbers that are not finite;
        default: on CUDA, which would have to be waited for."""
        self.net, self.optimizer, self.losses, self.sampler = net, optimizer, losses, sampler
        self.settings, self.shape = settings, shape
        self._parameters = list(net.parameters())
        self._backprop = Backprop(net, precision, settings.accumulate)
        later = precision.device.type == "cuda" if check_later is None else check_later
        self._checks = LaterChecks(precision.device) if later else AT_ONCE
        self._checks.guard(optimizer)

    def update(
        self, experience: Experience, progress: float, stopwatch: Stopwatch, stop: Callable[[], bool]
    ) -> Metrics | None:
        """Learn from `experience` at `progress` (0 to 1) of training. Return None, having learned from a part of it, if
        `stop` came true between two minibatches.

        As in PufferLib 3, advantages are computed anew for every minibatch: with the probability ratios and values
        that the segments visited so far have under the present network. Raise DivergedError for the first number that
        is not finite; the weights are then those before that step.
        """
        check_experience(experience, self.shape, self.net.info.num_agents)
        mean, limit = Mean(), self.settings.losses.ppo_actor.target_kl
        ratios, values = experience.first_ratios(), experience.values.clone()
        advantages = torch.empty_like(values)
        self.sampler.start(self.shape.segments, progress, experience.lessons and experience.lessons.seen)
        for _ in range(self.shape.minibatches):
            if stop():
                return None
            with stopwatch.phase("advantage"):
                self._advantages(experience, values, ratios, advantages)
                draw = self.sampler.draw(self.shape.minibatch_segments, advantages, self._checks)
                batch = gather(experience, draw.segments, values, advantages, draw.weights)
            prediction, metrics = self.differentiate(experience, draw.segments, batch, stopwatch)
            with stopwatch.phase("optimizer"):
                metrics["gradient_norm"] = self._step()
            ratios[:, draw.segments] = prediction.log_ratios.detach().exp()
            values[:, draw.segments] = prediction.values.detach()
            mean.add(metrics)
            if limit is not None and float(metrics.get("approx_kl", 0.0)) > limit:
                break
        self._checks.read()
        self._check_weights()
        scheduled = {f"hyperparameters/{name}": value for name, value in self.sampler.scheduled.items()}
        return {**mean.read("losses/"), **scheduled, **self._experience_metrics(experience, values, advantages)}

    def differentiate(
        self, experience: Experience, segments: Tensor, batch: Minibatch, stopwatch: Stopwatch
    ) -> tuple[Prediction, dict[str, Tensor]]:
        """Give the net's parameters, which have none, the gradients of the losses over segments int64 [n] of the
        experience, and return what it predicts and what the losses report."""
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
        check_advantages(out, self.shape, self.net.info.num_agents, self._checks)

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
        norm = nn.utils.clip_grad_norm_(self._parameters, self.settings.max_grad_norm)
        check_finite("gradient_norm", norm, {}, self._checks)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _check_weights(self) -> None:
        check_finite("weight_norm", nn.utils.get_total_norm(self._parameters).detach(), {})

    def _experience_metrics(self, experience: Experience, values: Tensor, advantages: Tensor) -> Metrics:
        values, advantages = experience.seen(values), experience.seen(advantages)
        returns = advantages + values
        spread = returns.var()
        explained = 1 - (returns - values).var() / spread if float(spread) > 0 else torch.tensor(0.0)
        return {
            "losses/explained_variance": float(explained),
            "experience/values": float(experience.values.mean()),
            "experience/values_abs": float(values.abs().mean()),
            "experience/advantages": float(advantages.mean()),
            "experience/advantages_abs": float(advantages.abs().mean()),
            **_entropy(experience),
            **_action_shares(experience.actions, self.net.info.action_names),
        }


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
        lessons=experience.lessons and experience.lessons.pick(segments),
    )


def _action_shares(actions: Tensor, names: tuple[str, ...]) -> Metrics:
    if len(names) > MOST_SHARES:
        return {}
    counts = torch.bincount(actions.flatten(), minlength=len(names)).tolist()
    return {f"experience/actions/{name}": count / actions.numel() for name, count in zip(names, counts, strict=True)}


def _entropy(experience: Experience) -> Metrics:
    """Of the policy that played, in nats, from the probabilities of its own actions; none where only a teacher led."""
    log_probs, lessons = experience.log_probs, experience.lessons
    own = log_probs if lessons is None else log_probs[:, ~lessons.led]
    return {"experience/entropy": -float(own.mean())} if own.numel() else {}
