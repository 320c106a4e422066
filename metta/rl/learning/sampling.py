"""Which segments go into a minibatch, and how much each counts.

They are drawn from those of all processes, on each of them alike; a process takes those that are its own.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from metta.rl.learning.divergence import AT_ONCE, SMALLER_STEPS, Checks, DivergedError
from metta.rl.learning.moments import exact
from metta.rl.learning.settings import SamplingSettings
from metta.rl.world import ALONE, World


@dataclass(frozen=True)
class Draw:
    """This process's segments int64 [n] and the weight of each in the actor's loss, float32 [n]."""

    segments: Tensor
    weights: Tensor


class SegmentSampler(Protocol):
    """Picks the segments of one minibatch after another through an epoch."""

    scheduled: dict[str, float]  # settings that follow a schedule, as they are now

    def start(self, segments: int, progress: float, seen: Tensor | None = None) -> None:
        """Begin an epoch over that many segments of all processes at `progress` (0 to 1) of training; `seen`, bool
        [own segments], are those whose advantages count, None for all."""
        ...

    def draw(self, count: int, advantages: Tensor, checks: Checks = AT_ONCE) -> Draw:
        """Pick `count` segments of all, given the present advantages of the own ones [time, own segments]."""
        ...


@dataclass(frozen=True)
class Shares:
    """Who has which segments: in every round of a batch each process has a range of them."""

    world: World
    rounds: int

    def gather(self, own: Tensor) -> Tensor:
        """From what each process says of its own segments to all of it, [segments]."""
        return self.world.gather_rows(own, self.rounds)

    def own(self, segments: Tensor, total: int) -> tuple[Tensor, Tensor]:
        """Which of segments int64 [n] of `total` are this process's: their places in n, and their numbers here."""
        if self.world.size == 1:
            return torch.arange(len(segments), device=segments.device), segments
        each = total // self.rounds
        mine = self.world.own(each)
        turn, row = segments // each, segments % each - mine.start
        here = ((row >= 0) & (row < mine.stop - mine.start)).nonzero().squeeze(-1)
        return here, turn[here] * (mine.stop - mine.start) + row[here]


WHOLE = Shares(ALONE, 1)


class SequentialSampler:
    """Every segment once per pass, in an order shuffled anew for each pass."""

    def __init__(self, generator: torch.Generator, shares: Shares = WHOLE) -> None:
        self.scheduled: dict[str, float] = {}
        self._generator, self._shares = generator, shares
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
        _, own = self._shares.own(segments, self._segments)
        return Draw(own, torch.ones(len(own), device=own.device))


class PrioritizedSampler:
    """Segments in proportion to (sum of absolute advantages) ** alpha, weighted back by (N p) ** -beta.

    Beta goes from beta0 to 1 over training (Schaul et al. 2016, on segments as in PufferLib 3). Segments from which
    PPO does not learn come as often as its own do on average. `draw` checks that advantages are not too large for
    alpha.
    """

    EPSILON = 1e-6  # keeps every segment possible

    def __init__(self, settings: SamplingSettings, generator: torch.Generator, shares: Shares = WHOLE) -> None:
        self.settings, self._generator, self._shares = settings, generator, shares
        self.scheduled = {"prio_beta": settings.prio_beta0}
        self._seen: Tensor | None = None
        self._own = torch.empty(0, dtype=torch.int64)  # the segments that are seen

    def start(self, segments: int, progress: float, seen: Tensor | None = None) -> None:
        self.scheduled["prio_beta"] = self.settings.prio_beta0 + (1 - self.settings.prio_beta0) * progress
        self._seen = None if seen is None else self._shares.gather(seen)
        if self._seen is not None:
            self._own = self._seen.nonzero().squeeze(-1)

    def draw(self, count: int, advantages: Tensor, checks: Checks = AT_ONCE) -> Draw:
        sums = advantages.abs().sum(dim=0)
        priorities = self._shares.gather(sums.pow_(self.settings.prio_alpha).add_(self.EPSILON))
        if self._seen is not None:
            mean = priorities[self._own].mean() if len(self._own) else 1.0
            priorities = torch.where(self._seen, priorities, mean)
        total = priorities.sum()
        checks("priorities", torch.isfinite(total), lambda: {"total": total}, self._too_large)
        probabilities = priorities / total
        segments = draw_distinct(probabilities, count, self._generator)
        places, own = self._shares.own(segments, len(probabilities))
        weights = (len(probabilities) * probabilities[segments]).pow_(-self.scheduled["prio_beta"])
        return Draw(own, weights[places])

    def _too_large(self, numbers: dict[str, float]) -> DivergedError:
        return DivergedError(
            f"sums of experience/advantages to the power of {self.settings.prio_alpha} are no longer finite",
            f"a smaller trainer.sampling.prio_alpha helps, or {SMALLER_STEPS}",
        )


def draw_distinct(probabilities: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """So many different indices int64 [count] of float32 [n], rising, each drawn with `count` times its probability, or
    for certain where that is above 1.

    Systematic sampling (Madow 1949): points at equal distances, from one random number, on the probabilities laid end
    to end. Every range of segments gives nearly its due, so that processes have nearly equal parts. A device is not
    waited for.
    """
    points = torch.arange(count, device=probabilities.device)
    ends = _inclusion(exact(probabilities), count).cumsum(0)
    start = torch.rand(1, generator=generator, device=ends.device, dtype=ends.dtype)
    indices = torch.searchsorted(ends, (points + start) * (ends[-1] / count), right=True)
    indices = (indices - points).cummax(0).values + points  # rounding may put two points on one index
    return torch.minimum(indices, len(probabilities) - count + points)


def _inclusion(probabilities: Tensor, count: int) -> Tensor:
    """The probability that each is among `count` [n]: in proportion to its own, none above 1."""
    falling = probabilities.sort(descending=True).values
    certain = torch.arange(count, device=falling.device)  # so many of the largest
    rest = falling.flip(0).cumsum(0).flip(0)[:count]
    scales = (count - certain) / rest
    enough = scales * falling[:count] <= 1
    scale = scales.index_select(0, enough.long().argmax(0, keepdim=True))
    return torch.where(enough.any(), (probabilities * scale).clamp(max=1), 1.0)  # none: no longer finite


def make_sampler(settings: SamplingSettings, generator: torch.Generator, shares: Shares = WHOLE) -> SegmentSampler:
    """`generator` draws the same on all processes."""
    if settings.method == "sequential":
        return SequentialSampler(generator, shares)
    return PrioritizedSampler(settings, generator, shares)
