"""What an agent of `mettagrid` is shown and does: tokens, observations, actions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel

from metta.game.observation import EnvInfo

GLOBAL, NOTHING = 0xFE, 0xFF  # place bytes of what is no cell's, and of padding
LARGEST = 14  # row and column of a place

dtype_observations = np.dtype(np.uint8)
dtype_actions = np.dtype(np.int32)
dtype_rewards = np.dtype(np.float32)
dtype_terminals = dtype_truncations = dtype_masks = dtype_success = np.dtype(bool)


@dataclass
class Action:
    """What an agent does, by name."""

    name: str


class Location(NamedTuple):
    """A cell of the window; the agent itself is at (5, 5)."""

    row: int
    col: int

    @property
    def x(self) -> int:
        return self.col

    @property
    def y(self) -> int:
        return self.row


class PackedCoordinate:
    """Places as one byte: row in the upper four bits, column in the lower."""

    @staticmethod
    def pack(row: int, col: int) -> int:
        """Raises ValueError outside 0..14."""
        if not (0 <= row <= LARGEST and 0 <= col <= LARGEST):
            raise ValueError(f"row {row}, column {col}: places have rows and columns from 0 to {LARGEST}")
        return row << 4 | col

    @staticmethod
    def unpack(packed: int) -> tuple[int, int] | None:
        return None if packed in (GLOBAL, NOTHING) else (packed >> 4, packed & 0x0F)

    @staticmethod
    def is_empty(packed: int) -> bool:
        return packed == NOTHING

    @staticmethod
    def is_global(packed: int) -> bool:
        return packed == GLOBAL


class ObservationFeatureSpec(BaseModel):
    """One kind of token; `normalization` is the value that a network divides by."""

    id: int
    name: str
    normalization: float


@dataclass
class ObservationToken:
    """`raw_token` is a view of the agent's buffer: where a token is kept, its place changes with the next step."""

    feature: ObservationFeatureSpec
    value: int
    raw_token: Any  # uint8 [3] or three numbers: place, feature, value

    @property
    def is_global(self) -> bool:
        return self.raw_token[0] == GLOBAL

    @property
    def location(self) -> Location | None:
        place = PackedCoordinate.unpack(int(self.raw_token[0]))
        return None if place is None else Location(*place)

    def row(self) -> int | None:
        place = self.location
        return None if place is None else place.row

    def col(self) -> int | None:
        place = self.location
        return None if place is None else place.col


@dataclass
class AgentObservation:
    """What one agent sees, in the order of the array, up to the first padding."""

    agent_id: int
    tokens: Sequence[ObservationToken]


def feature_specs(info: EnvInfo) -> list[ObservationFeatureSpec]:
    """Features in id order."""
    return [ObservationFeatureSpec(id=f.id, name=f.name, normalization=f.normalization) for f in info.features]


def decode(agent: int, raw: np.ndarray, features: Sequence[ObservationFeatureSpec]) -> AgentObservation:
    """The tokens of one agent, uint8 [tokens, 3], as objects."""
    known = raw[:, 1] != NOTHING
    count = len(raw) if known.all() else int(known.argmin())
    ids, values = raw[:count, 1].tolist(), raw[:count, 2].tolist()
    return AgentObservation(agent, [ObservationToken(features[ids[k]], values[k], raw[k]) for k in range(count)])
