"""Gradients of a minibatch that need not go through the network all at once.

The loss is taken over the network's outputs for the whole minibatch, which are small, so that whatever it averages or
normalises over is the same in however many parts the minibatch went through the network. Its gradients to the outputs
then go back part by part (Gao et al. 2021, gradient caching). What a backward pass needs is kept of one part at a time:
all but the last go forward twice.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from metta.common.logging import warn
from metta.policy.nets.interface import NetOutput, PolicyNet
from metta.rl.experience.rollout import Experience
from metta.rl.learning.graphs import capturing
from metta.rl.learning.precision import Precision
from metta.rl.machine import is_out_of_memory
from metta.rl.run.timing import Stopwatch
from metta.rl.world import ALONE, World

Report = TypeVar("Report")
Result = TypeVar("Result")
LossOf = Callable[[NetOutput], tuple[Tensor, Report]]


class Backprop:
    """Takes minibatches through a net and back, in `parts`; in twice as many once memory has run out anywhere."""

    def __init__(self, net: PolicyNet, precision: Precision, parts: int, world: World = ALONE) -> None:
        self.net, self.precision, self.parts, self.world = net, precision, parts, world

    def __call__(
        self, experience: Experience, segments: Tensor, loss_of: LossOf[Report], stopwatch: Stopwatch
    ) -> Report:
        """Give the net's parameters, which have none or zeros, the gradients of a loss over segments int64 [n].

        `loss_of` makes loss and report of the outputs [time, n, ...]; the report is returned.
        """
        while True:
            parts = segments.tensor_split(max(1, min(self.parts, len(segments))))
            outputs = self._or_no_memory(len(segments), partial(self._outputs, experience, parts, stopwatch))
            if outputs is not None:
                back = partial(self._back, experience, parts, outputs, loss_of, stopwatch)
                if (report := self._or_no_memory(len(segments), back)) is not None:
                    return report
                outputs = None
            self._split(len(segments))  # once the error is gone, and what it kept alive

    def _or_no_memory(self, most: int, work: Callable[[], Result]) -> Result | None:
        """What `work` gives; None where a process ran out of memory and smaller parts may help."""
        result = None
        try:
            result = work()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or self.parts >= most or capturing(self.precision.device):
                raise
        return None if self.world.any(result is None) else result

    def _outputs(self, experience: Experience, parts: Sequence[Tensor], stopwatch: Stopwatch) -> list[NetOutput]:
        """What the net says of the parts; the last one's remembers what a backward pass needs."""
        *earlier, last = parts
        with stopwatch.phase("forward"):
            with torch.no_grad():
                outputs = [self._forward(experience, part) for part in earlier]
            return [*outputs, self._forward(experience, last)]

    def _back(
        self,
        experience: Experience,
        parts: Sequence[Tensor],
        outputs: list[NetOutput],
        loss_of: LossOf[Report],
        stopwatch: Stopwatch,
    ) -> Report:
        """Take the gradients of the loss over the joined outputs to the parameters."""
        with stopwatch.phase("forward"):
            whole = _joined(outputs)
            loss, report = loss_of(whole)
        with stopwatch.phase("backward"):
            loss.backward()
            *gradients, gradient = _gradients(whole, [len(part) for part in parts])
            _backward(outputs[-1], gradient)
        for part, gradient in zip(parts[:-1], gradients, strict=True):
            with stopwatch.phase("forward"):
                output = self._forward(experience, part)
            with stopwatch.phase("backward"):
                _backward(output, gradient)
        return report

    def _forward(self, experience: Experience, segments: Tensor) -> NetOutput:
        if not len(segments):  # all of the minibatch lies on other processes
            return _nothing(self.net, len(experience.actions))
        state = tuple(part[segments] for part in experience.state)
        observations = experience.observations.index_select(1, segments)
        resets = experience.resets.index_select(1, segments)
        return self.precision.unroll(self.net, observations, state, resets)

    def _split(self, most: int) -> None:
        """Forget what was done of a minibatch, and do it in more parts from now on."""
        for parameter in self.net.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
        if self.precision.device.type == "cuda":
            torch.cuda.empty_cache()  # blocks of other sizes than the parts will need
        self.parts = max(self.parts, min(2 * self.parts, most))
        warn(f"not enough memory for a minibatch at once: from now on in {self.parts} parts (trainer.accumulate)")


def _nothing(net: PolicyNet, time: int) -> NetOutput:
    """Outputs of no segments."""
    logits = next(net.parameters()).new_zeros(time, 0, len(net.info.action_names))
    values = logits.new_zeros(time, 0)
    return NetOutput(logits, values, values if net.heads.auxiliary else None)


def _joined(outputs: Sequence[NetOutput]) -> NetOutput:
    """Outputs of all segments [time, n, ...], where their gradients are gathered."""
    columns = ([part for part in parts if part is not None] for parts in zip(*outputs, strict=True))
    whole = (torch.cat(parts, dim=1) if len(parts) > 1 else parts[0] if parts else None for parts in columns)
    return NetOutput(*(None if part is None else part.detach().requires_grad_() for part in whole))  # pyright: ignore


def _gradients(whole: NetOutput, sizes: list[int]) -> list[list[Tensor | None]]:
    """Of outputs that have been joined, the gradients to those of each of the parts, which have these sizes."""
    gradients = [None if part is None else part.grad for part in whole]
    split = [[None] * len(sizes) if part is None else part.split(sizes, dim=1) for part in gradients]
    return [list(parts) for parts in zip(*split, strict=True)]


def _backward(output: NetOutput, gradients: list[Tensor | None]) -> None:
    """Take gradients to outputs on to the parameters."""
    pairs = zip(output, gradients, strict=True)
    known = [(part, its) for part, its in pairs if part is not None and its is not None and part.requires_grad]
    if known:
        torch.autograd.backward([part for part, _ in known], [its for _, its in known])
