"""Which segments go into a minibatch, and how much each counts."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from metta.rl.learning.divergence import AT_ONCE, SMALLER_STEPS, Checks, DivergedError
from metta.rl.learning.settings import SamplingSettings


@dataclass(frozen=True)
class Draw:
    """Segments int64 [n] and the weight of each in the actor's loss, float32 [n]."""

    segments: Tensor
    weights: Tensor


class SegmentSampler(Protocol):
    """Picks the segments of one minibatch after another through an epoch."""

    scheduled: dict[str, float]  # settings that follow a schedule, as they are now

    def start(self, segments: int, progress: float, seen: Tensor | None = None) -> None:
        """Begin an epoch over that many segments at `progress` (0 to 1) of training; `seen`, bool [segments], are those
        whose advantages count, None for all."""
        ...

    def draw(self, count: int, advantages: Tensor, checks: Checks = AT_ONCE) -> Draw:
        """Pick segments, given the present advantages [time, segments]."""
        ...


class SequentialSampler:
    """Every segment once per pass, in an order shuffled anew for each pass."""

    def __init__(self, generator: torch.Generator) -> None:
        self.scheduled: dict[str, float] = {}
        self._generator = generator
        self._segments = 0
        self._waiting = torch.empty(0, dtype=torch.int64, device=generator.device)

    def start(self, segments: int, progress: float, seen: Tensor | None = None) -> None:
        self._segments = segments
        self._waiting = self._waiting[:0]

    def draw(self, count: int, advantages: Tensor, checks: Checks = AT_ONCE) -> Draw:
        if len(self._waiting) < count:
            order = torch.randperm(self._segments, generator=self._generator, device=self._generator.device)
            self._waiting = torch.cat([self._waiting, order])
        segments, self._waiting = self._waiting[:count], self._waiting[count:]
        return Draw(segments, torch.ones(count, device=segments.device))


class PrioritizedSampler:
    """Segments in proportion to (sum of absolute advantages) ** alpha, weighted back by (N p) ** -beta.

    Beta goes from beta0 to 1 over training (Schaul et al. 2016, on segments as in PufferLib 3). Segments from which
    PPO does not learn come as often as its own do on average. `draw` checks that advantages are not too large for
    alpha.
    """

    EPSILON = 1e-6  # keeps every segment possible

    def __init__(self, settings: SamplingSettings, generator: torch.Generator) -> None:
        self.settings, self._generator = settings, generator
        self.scheduled = {"prio_beta": settings.prio_beta0}
        self._seen: Tensor | None = None
        self._own = torch.empty(0, dtype=torch.int64)  # the segments that are seen

    def start(self, segments: int, progress: float, seen: Tensor | None = None) -> None:
        self.scheduled["prio_beta"] = self.settings.prio_beta0 + (1 - self.settings.prio_beta0) * progress
        self._seen = seen
        if seen is not None:
            self._own = seen.nonzero().squeeze(-1)

    def draw(self, count: int, advantages: Tensor, checks: Checks = AT_ONCE) -> Draw:
        priorities = advantages.abs().sum(dim=0).pow_(self.settings.prio_alpha).add_(self.EPSILON)
        if self._seen is not None:
            mean = priorities[self._own].mean() if len(self._own) else 1.0
            priorities = torch.where(self._seen, priorities, mean)
        total = priorities.sum()
        checks("priorities", torch.isfinite(total), lambda: {"total": total}, self._too_large)
        probabilities = priorities / total
        segments = draw_distinct(probabilities, count, self._generator)
        return Draw(segments, (len(probabilities) * probabilities[segments]).pow_(-self.scheduled["prio_beta"]))

    def _too_large(self, numbers: dict[str, float]) -> DivergedError:
        return DivergedError(
            f"sums of experience/advantages to the power of {self.settings.prio_alpha} are no longer finite",
            f"a smaller trainer.sampling.prio_alpha helps, or {SMALLER_STEPS}",
        )


def draw_distinct(probabilities: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """So many different indices int64 [count], each in proportion to its probability among those left: what
    torch.multinomial draws, bit for bit, but without a look at the numbers, for which a device would be waited."""
    times = torch.empty_like(probabilities).exponential_(1, generator=generator)
    return (probabilities / times).topk(count).indices


def make_sampler(settings: SamplingSettings, generator: torch.Generator) -> SegmentSampler:
    if settings.method == "sequential":
        return SequentialSampler(generator)
    return PrioritizedSampler(settings, generator)
