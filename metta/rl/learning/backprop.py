"""Gradients of a minibatch that need not go through the network all at once.

The loss is taken over the network's outputs for the whole minibatch, which are small, so that whatever it averages or
normalises over is the same in however many parts the minibatch went through the network. Its gradients to the outputs
then go back part by part (Gao et al. 2021, gradient caching). What a backward pass needs is kept of one part at a time:
all but the last go forward twice.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from metta.common.logging import warn
from metta.policy.interface import NetOutput, PolicyNet
from metta.rl.experience.rollout import Experience
from metta.rl.learning.graphs import capturing
from metta.rl.learning.precision import Precision
from metta.rl.machine import is_out_of_memory
from metta.rl.run.timing import Stopwatch

Report = TypeVar("Report")
LossOf = Callable[[NetOutput], tuple[Tensor, Report]]


class Backprop:
    """Takes minibatches through a net and back, in `parts`; in twice as many once memory has run out."""

    def __init__(self, net: PolicyNet, precision: Precision, parts: int) -> None:
        self.net, self.precision, self.parts = net, precision, parts

    def __call__(
        self, experience: Experience, segments: Tensor, loss_of: LossOf[Report], stopwatch: Stopwatch
    ) -> Report:
        """Give the net's parameters, which have none or zeros, the gradients of a loss over segments int64 [n].

        `loss_of` makes loss and report of the outputs [time, n, ...]; the report is returned.
        """
        while True:
            try:
                return self._go(experience, segments, loss_of, stopwatch)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or self.parts >= len(segments) or capturing(self.precision.device):
                    raise
            self._split(len(segments))  # once the error is gone, and what it kept alive

    def _go(self, experience: Experience, segments: Tensor, loss_of: LossOf[Report], stopwatch: Stopwatch) -> Report:
        *earlier, last = segments.tensor_split(min(self.parts, len(segments)))
        with stopwatch.phase("forward"):
            with torch.no_grad():
                outputs = [self._forward(experience, part) for part in earlier]
            output = self._forward(experience, last)
            whole = _joined([*outputs, output])
            loss, report = loss_of(whole)
        with stopwatch.phase("backward"):
            loss.backward()
            *gradients, gradient = _gradients(whole, [len(part) for part in (*earlier, last)])
            _backward(output, gradient)
        for part, gradient in zip(earlier, gradients, strict=True):
            with stopwatch.phase("forward"):
                output = self._forward(experience, part)
            with stopwatch.phase("backward"):
                _backward(output, gradient)
        return report

    def _forward(self, experience: Experience, segments: Tensor) -> NetOutput:
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
        self.parts = min(2 * self.parts, most)
        warn(f"not enough memory for a minibatch at once: from now on in {self.parts} parts (trainer.accumulate)")


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
    torch.autograd.backward([part for part, _ in known], [its for _, its in known])
