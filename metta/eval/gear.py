"""What gear the agents wear as an episode goes on: the role that each of them plays."""

import numpy as np

from metta.game.engine.batch import Batch
from metta.game.resources import GEAR, RESOURCES
from metta.policy.interface import Policy

EVERY = 10  # steps between two looks
WORN = ("none", *GEAR)
COLUMNS = [RESOURCES.index(gear) for gear in GEAR]


class GearTrack:
    """Watches a batch; `lines` has a digit per look for each agent, an index into WORN."""

    def begin(self, batch: Batch, policy: Policy) -> None:
        self._batch, self._steps = batch, 0
        self._looks: list[np.ndarray] = []  # each uint8 [E, A]
        self._look()

    def step(self, actions: np.ndarray, rewards: np.ndarray) -> None:
        self._steps += 1
        if self._steps % EVERY == 0:
            self._look()

    def _look(self) -> None:
        worn = self._batch.inventories()[:, :, COLUMNS] > 0
        self._looks.append(np.where(worn.any(-1), worn.argmax(-1) + 1, 0).astype(np.uint8))

    def lines(self, env: int) -> list[str]:
        """A line of digits for each agent of an environment."""
        looks = np.array([look[env] for look in self._looks], np.uint8)  # [looks, A]
        return ["".join(map(str, line)) for line in looks.T.tolist()]


def role_of(line: str) -> str:
    """The gear that an agent wore longest; `none` if it never wore any."""
    counts = [line.count(str(index)) for index in range(1, len(WORN))]
    return WORN[1 + int(np.argmax(counts))] if any(counts) else WORN[0]
