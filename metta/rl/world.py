"""The processes that train one run together: who this one is, and how they come to the same numbers.

A run of one process has a world of its own, in which every question is answered at once and without torch.distributed.
Ranks own consecutive ranges of what is numbered globally: environments, and with them their agents and segments.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from metta.common.errors import UserError

Value = TypeVar("Value")


@dataclass(frozen=True)
class World:
    """Process `rank` of `size`; `local_rank` of the `local_size` on this machine.

    All processes must call the same methods in the same order. Tensors lie on the device of the training.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks for all."""
        return self.rank == 0

    def own(self, total: int) -> slice:
        """This process's part of `total` things that are numbered globally, a multiple of `size`."""
        share = total // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def sum(self, tensor: Tensor) -> Tensor:
        """Make a tensor the sum of those of all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def largest(self, tensor: Tensor) -> Tensor:
        """Make a tensor the largest of those of all processes, element by element, in place."""
        if self.size > 1:
            dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tensor

    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all processes, which have one shape, [size, ...] in the order of ranks."""
        if self.size == 1:
            return tensor.unsqueeze(0)
        gathered = tensor.new_empty(self.size, *tensor.shape)
        dist.all_gather(list(gathered.unbind()), tensor.contiguous())
        return gathered

    def gather_rows(self, part: Tensor, rounds: int = 1) -> Tensor:
        """From each process's rows of every round, [rounds * n], to those of all in global order."""
        return self.gather(part.view(rounds, -1)).transpose(0, 1).reshape(-1)

    def gather_objects(self, value: Value) -> list[Value]:
        """What every process has, in the order of ranks; for small things between batches."""
        if self.size == 1:
            return [value]
        gathered: list[Value | None] = [None] * self.size
        dist.all_gather_object(gathered, value)
        return gathered  # pyright: ignore[reportReturnType] # every place has been filled

    def any(self, flag: bool) -> bool:
        """Whether it is so on any process. The device is not waited for."""
        return bool(self.largest(torch.tensor(flag, dtype=torch.uint8))) if self.size > 1 else flag

    def of_leader(self, value: Value) -> Value:
        """What rank 0 has."""
        if self.size == 1:
            return value
        told: Sequence[Value] = [value]
        dist.broadcast_object_list(told, src=0)  # pyright: ignore[reportArgumentType]
        return told[0]

    def lead(self, work: Callable[[], Value]) -> Value:
        """What rank 0 makes of something that it alone does; its UserError is raised everywhere."""
        if self.size == 1:
            return work()
        done, error = None, None
        if self.leads:
            try:
                done = work()
            except UserError as raised:
                error = raised
        done, error = self.of_leader((done, error))
        if error:
            raise error
        return done  # pyright: ignore[reportReturnType] # what `work` gave

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()


ALONE = World()
