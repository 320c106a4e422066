"""Attention over what a map tells of each kind and owner: which of them matters now follows from what else is known.

What is told of a slot is its key and its value, and each slot has a score of its own (Vinyals et al. 2015, pointer
networks).
"""

from torch import Tensor, nn

from metta.policy.nets.modules.linear import Linear

ABSENT = 1e4  # by how much less what is not there scores


class Pointer(nn.Module):
    """Query beside what is told of slots [n, query + slots * numbers] -> of each head's choice [n, heads * numbers].

    The number at `found` tells whether there is something in a slot.
    """

    def __init__(self, query: int, slots: int, numbers: int, heads: int, found: int) -> None:
        super().__init__()
        self._sizes, self._heads, self._found = (query, slots * numbers), heads, found
        self._shape = slots, numbers
        self._scores = Linear(query, heads * (slots + numbers))

    def forward(self, x: Tensor) -> Tensor:
        query, told = x.split(self._sizes, dim=-1)
        told = told.unflatten(-1, self._shape)
        by_slot, by_number = self._scores(query).unflatten(-1, (self._heads, -1)).split(self._shape, dim=-1)
        scores = by_slot + by_number @ told.transpose(1, 2) + ABSENT * (told[..., self._found].unsqueeze(1) - 1)
        return (scores.softmax(-1) @ told).flatten(1)
