"""A memory that is a map: what was seen where, and the ways there.

What is seen is written as it is, so no gradient flows through time. What is read is learned: for each kind of thing, by
owner, a search over the remembered free cells finds the nearest one, the shortest ways there around walls, and how long
ago it was seen; for the unknown too, as the nearest cell never seen. A linear layer reads these numbers, or they are
told as they are.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from metta.game.observation import EnvInfo
from metta.policy.nets.interface import State
from metta.policy.nets.landmarks import BARRIER, MOVER, NUMBERS, kinds_of, slots_of
from metta.policy.nets.modules import map_kernels as kernels
from metta.policy.nets.modules.base import Memory
from metta.policy.nets.modules.linear import Linear
from metta.policy.nets.modules.map_kernels import Names, Sizes
from metta.policy.nets.modules.threads import in_threads

STAMPS = 192  # ages that can be told apart; the rest of a byte tells what is older from what is new


class MapMemory(Memory):
    """Observations of the game [batch, tokens, 3] -> what the map tells [batch, width], or the numbers themselves
    [batch, slots * NUMBERS] where `width` is None.

    State: cells int16 [batch, side * side] and steps int32 [batch]. Where the observations are on another device than
    the CPU, they are brought there and back.
    """

    _here: Tensor

    def __init__(self, info: EnvInfo, width: int | None, side: int, reach: int, forget: int) -> None:
        """`side` is a power of two, at most 256; distances and ages in steps."""
        super().__init__()
        self._names, self._slots = names_of(info), slots_of(info)
        self._sizes = sizes_of(side, forget, reach)
        self._layer = None if width is None else Linear(self._slots * NUMBERS, width)
        self.register_buffer("_here", torch.empty(0), persistent=False)  # where the state lies

    def initial_state(self, batch: int) -> State:
        return empty_maps(batch, self._sizes.side, self._here)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        found, state = self.look(x.unsqueeze(0), state, torch.zeros(1, len(x), dtype=torch.bool))
        return self._read(found)[0], state

    def unroll(self, x: Tensor, state: State, resets: Tensor) -> Tensor:
        return self._read(self.look(x, state, resets)[0])

    def look(self, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
        """As `unroll`, but what the search finds, float32 [time, batch, slots, NUMBERS], and the state after it.

        Slot 0 is the unknown, 1 + OWNERS * kind + owner a kind (metta.policy.nets.landmarks) that belongs to nobody, to
        the agent's own team or to another.
        """
        cells, clocks = (part.to("cpu", copy=True) for part in state)
        found = torch.empty(*x.shape[:2], self._slots, NUMBERS)
        args: list[Any] = [part.cpu().numpy() for part in (x, resets, cells, clocks)]
        args += [self._names, self._sizes, found.numpy()]
        time, batch = x.shape[:2]
        in_threads(time * batch, lambda share, begin, end: kernels.walk(begin // time, end // time, *args))
        return found.to(x.device), (cells.to(x.device), clocks.to(x.device))

    def _read(self, found: Tensor) -> Tensor:
        if self._layer is None:
            return found.flatten(2)
        return torch.relu_(self._layer(found.flatten(0, 1).flatten(1))).unflatten(0, found.shape[:2])


def empty_maps(batch: int, side: int, like: Tensor) -> State:
    """Maps on which nothing was seen, on the device of `like`."""
    return like.new_zeros(batch, side**2, dtype=torch.int16), like.new_zeros(batch, dtype=torch.int32)


def sizes_of(side: int, forget: int, reach: int = 0) -> Sizes:
    unit = max(-(-forget // STAMPS), -(-side // (255 - STAMPS)))  # each row is looked through every `side` steps
    return Sizes(side, reach, forget, unit)


def names_of(info: EnvInfo) -> Names:
    meanings = {BARRIER: kernels.BARRIER, MOVER: kernels.MOVER}
    meanings |= {kind: kernels.THING + index for index, kind in enumerate(kinds_of(info))}
    tags = np.zeros(256, np.uint8)
    tags[: len(info.tags)] = [meanings.get(tag, kernels.NOTHING) for tag in info.tags]
    ids = {feature.name: feature.id for feature in info.features}
    east, west, north, south = (ids[f"lp:{way}"] for way in ("east", "west", "north", "south"))
    return Names(tags, ids["tag"], ids["collective"], east, west, north, south, *info.window)
