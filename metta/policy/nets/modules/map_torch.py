"""The map written by torch's operations alone, on any device: cells as those of map_kernels, bit for bit.

Shapes depend on no value and nothing waits for the device.
"""

import torch
from torch import Tensor, nn

from metta.policy.nets.landmarks import OWNERS
from metta.policy.nets.modules.map_kernels import (
    BARRIER,
    FIRST,
    FREE,
    GLOBAL,
    NOBODYS,
    NOWHERE,
    OURS,
    PADDING,
    THEIRS,
    THING,
    WALL,
    Names,
    Sizes,
)

UNSEEN = -1  # code of a cell of the window that had no room in the observation


class MapWriter(nn.Module):
    """Sees windows of cells and writes them to maps."""

    _tags: Tensor  # int32 [256]: what each means
    _places: Tensor  # int64 [window]: of each cell of the window
    _away: Tensor  # int32 [window]: its distance from the middle
    _offsets: Tensor  # int64 [window]: its number less that of the middle

    def __init__(self, names: Names, sizes: Sizes) -> None:
        super().__init__()
        self._names, self._sizes = names, sizes
        self._middle = names.height // 2, names.width // 2
        rows = torch.arange(names.height).unsqueeze(1).expand(-1, names.width).flatten()
        cols = torch.arange(names.width).repeat(names.height)
        down, right = rows - self._middle[0], cols - self._middle[1]
        self.register_buffer("_tags", torch.from_numpy(names.tags).int(), persistent=False)
        self.register_buffer("_places", rows << 4 | cols, persistent=False)
        self.register_buffer("_away", (down.abs() + right.abs()).int(), persistent=False)
        self.register_buffer("_offsets", down * sizes.side + right, persistent=False)

    def see(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens uint8 [n, tokens, 3] -> codes of the window's cells int16 [n, window], and the cell where the agent
        is int64 [n], not yet modulo the map's."""
        names, (row, col) = self._names, self._middle
        place, feature, value = (part.int() for part in tokens.unbind(-1))
        there = (place == PADDING).cumsum(1) == 0
        local = there & (place != GLOBAL)
        order = torch.arange(place.shape[1], dtype=torch.int32, device=place.device).expand_as(place)
        what = _last(place, self._tags[value], local & (feature == names.tag)).clamp(min=0)
        owner = _last(place, order << 8 | value, local & (feature == names.collective)) & NOWHERE  # the last one told
        mine = owner[:, row << 4 | col].unsqueeze(1)
        what, owner = what[:, self._places], owner[:, self._places]

        owned = torch.where(owner == mine, OURS, THEIRS)
        thing = FIRST + OWNERS * (what - THING) + torch.where(owner == NOWHERE, NOBODYS, owned)
        code = torch.where(what >= THING, thing, torch.where(what == BARRIER, WALL, FREE))
        last = torch.where(local, order, -1).amax(1, keepdim=True)
        end = place.gather(1, last.clamp(min=0).long())
        whole = ((end >> 4) - row).abs() + ((end & 15) - col).abs() - 1
        cut = there[:, -1:] & (last >= 0)  # there was no room for more
        code = torch.where(cut & (self._away > whole), UNSEEN, code)

        signed = torch.where(there & ~local, value, 0)
        east = _signs(feature, names.east, names.west) * signed
        south = _signs(feature, names.south, names.north) * signed
        return code.short(), (south * self._sizes.side + east).sum(1)

    def write(self, cells: Tensor, clocks: Tensor, codes: Tensor, here: Tensor) -> None:
        """Write what is seen to cells int16 [n, side * side], in place; forget what is old in one row of each map."""
        sizes, stamp = self._sizes, stamps(clocks, self._sizes)
        row = (clocks.unsqueeze(1) & (sizes.side - 1)).long() * sizes.side
        row = row + torch.arange(sizes.side, device=cells.device)
        old = cells.gather(1, row)
        cells.scatter_(1, row, torch.where(ages(old, stamp) > sizes.forget // sizes.unit, 0, old))
        window = (here.unsqueeze(1) + self._offsets) & (cells.shape[1] - 1)
        cells.scatter_(1, window, torch.where(codes == UNSEEN, cells.gather(1, window), codes | stamp << 8))


def stamps(clocks: Tensor, sizes: Sizes) -> Tensor:
    """The stamps of cells seen now: int16 [n, 1]."""
    return (clocks.unsqueeze(1) // sizes.unit & 255).short()


def ages(cells: Tensor, stamp: Tensor) -> Tensor:
    """Units of time since cells [n, ...] were seen, where it is `stamp` now."""
    return (stamp - (cells >> 8)) & 255


def _last(place: Tensor, key: Tensor, told: Tensor) -> Tensor:
    """The largest key that is told at each place: int32 [n, 256], -1 where none is."""
    found = key.new_full((len(key), 256), -1)
    return found.scatter_reduce_(1, place.long(), torch.where(told, key, -1), "amax")


def _signs(feature: Tensor, ahead: int, behind: int) -> Tensor:
    return (feature == ahead).int() - (feature == behind).int()
