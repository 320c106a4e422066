"""Gradients of all processes, joined."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metta.rl.world import World


class Gradients:
    """The gradients of a net's parameters. With several processes they lie in one buffer, which is summed at once: for
    nets of a few million parameters neither buckets nor shards pay."""

    def __init__(self, parameters: Sequence[nn.Parameter], world: World, keep: bool) -> None:
        """`keep`: they stay where they are from one minibatch to the next, zero in between. In the buffer they do."""
        self._parameters, self._world = parameters, world
        self._keep = keep
        self._flat: Tensor | None = None
        if world.size > 1:
            sizes = [parameter.numel() for parameter in parameters]
            # Behind the gradients: how many processes have met a number that is not finite.
            self._flat = torch.zeros(sum(sizes) + 1, device=parameters[0].device)
            for parameter, part in zip(parameters, self._flat[:-1].split(sizes), strict=True):
                parameter.grad = part.view_as(parameter)

    def join(self, failed: Tensor | None = None) -> None:
        """Make the gradients the sums of those of all processes, and `failed`, float [], 1 where it is on any."""
        if self._flat is None:
            return
        if failed is not None:
            self._flat[-1] = failed
        self._world.sum(self._flat)
        if failed is not None:
            failed.copy_(self._flat[-1] > 0)

    def clear(self) -> None:
        """No gradients."""
        if self._flat is not None:
            self._flat.zero_()
            return
        for parameter in self._parameters:
            if parameter.grad is None:
                continue
            if self._keep:
                parameter.grad.zero_()
            else:
                parameter.grad = None
