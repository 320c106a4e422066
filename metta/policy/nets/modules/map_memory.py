"""A memory that is a map: where what was seen, and the ways there."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metta.game.observation import EnvInfo
from metta.policy.interface import State
from metta.policy.nets.linear import Linear
from metta.policy.nets.modules.base import Memory
from metta.policy.nets.modules.map_kernels import BARRIER, MOVER, NUMBERS, OWNERS, THING, Names, Sizes, walk
from metta.policy.nets.threads import in_threads


def names_of(info: EnvInfo) -> tuple[Names, list[str]]:
    """What tags and features mean, and the names of the kinds of things."""
    ids = {feature.name: feature.id for feature in info.features}
    tags, kinds = np.zeros(256, np.uint8), []
    for index, tag in enumerate(info.tags):
        if tag == "type:wall":
            tags[index] = BARRIER
        elif tag == "type:agent":
            tags[index] = MOVER
        elif tag.startswith("type:"):
            tags[index] = THING + len(kinds)
            kinds.append(tag.removeprefix("type:"))
    numbers = [ids[name] for name in ("tag", "collective", "lp:east", "lp:west", "lp:north", "lp:south")]
    return Names(tags, *numbers, *info.window), kinds


class MapMemory(Memory):
    def __init__(self, info: EnvInfo, width: int, side: int, nearest: int, reach: int, forget: int) -> None:
        super().__init__()
        self._names, kinds = names_of(info)
        unit = max(-(-forget // 192), -(-side // 63))
        self._sizes = Sizes(side, len(kinds), nearest, reach, forget, unit)
        self._slots = 1 + OWNERS * len(kinds)
        self.width = width
        self._layer = Linear(self._slots * nearest * NUMBERS, width)

    def initial_state(self, batch: int) -> State:
        device = self._layer.weight.device
        area = self._sizes.side**2
        return (
            torch.zeros(batch, area, dtype=torch.int16, device=device),
            torch.zeros(batch, dtype=torch.int32, device=device),
        )

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        cells, clocks = (part.clone() for part in state)
        resets = torch.zeros(1, len(x), dtype=torch.bool)
        return self._read(self._walk(x.unsqueeze(0), resets, cells, clocks))[0], (cells, clocks)

    def unroll(self, x: Tensor, state: State, resets: Tensor) -> Tensor:
        cells, clocks = (part.clone() for part in state)
        return self._read(self._walk(x, resets, cells, clocks))

    def _walk(self, x: Tensor, resets: Tensor, cells: Tensor, clocks: Tensor) -> Tensor:
        out = torch.empty(*x.shape[:2], self._slots, self._sizes.nearest, NUMBERS)
        args: list[Any] = [part.numpy() for part in (x, resets, cells, clocks)]
        in_threads(x.shape[1], lambda share, begin, end: walk(begin, end, *args, self._names, self._sizes, out.numpy()))
        return out

    def _read(self, found: Tensor) -> Tensor:
        time, batch = found.shape[:2]
        return torch.relu_(self._layer(found.view(time * batch, -1))).view(time, batch, -1)
