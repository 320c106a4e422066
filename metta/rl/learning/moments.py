"""Means and variances of numbers that lie on several processes, without cancellation."""

from typing import NamedTuple

import torch
from torch import Tensor

from metta.rl.world import World


class Moments(NamedTuple):
    """How many, mean and variance (of a sample) of numbers, float64 []."""

    size: Tensor
    mean: Tensor
    variance: Tensor

    @property
    def deviation(self) -> Tensor:
        return self.variance.sqrt()


def moments(values: Tensor, world: World) -> Moments:
    """Of all numbers of all processes, which may have none: each one's own are joined (Chan et al. 1979)."""
    own = exact(values.detach()).flatten()
    count = torch.tensor(float(len(own)), dtype=own.dtype, device=own.device)
    mean = own.sum() / count.clamp(min=1)
    squares = ((own - mean) ** 2).sum()
    counts, means, sums = world.gather(torch.stack([count, mean, squares])).unbind(-1)
    total = counts.sum()
    joint = (counts * means).sum() / total.clamp(min=1)
    squares = (sums + counts * (means - joint) ** 2).sum()
    return Moments(total, joint, squares / (total - 1).clamp(min=1))


def exact(values: Tensor) -> Tensor:
    """In float64, where the device has it."""
    return values.to(torch.float32 if values.device.type == "mps" else torch.float64)
