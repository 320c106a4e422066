"""Policies that each do one thing wrong, for the checks to find: `class=tests.eval.broken_policies.NAME,kw.miner=4`."""

import numpy as np

from metta.game.observation import EnvInfo
from metta.policy.scripted import layout as L
from metta.policy.scripted.names import make_scripted
from metta.policy.scripted.policy import ScriptedPolicy


class Copy(ScriptedPolicy):
    """Plays as `role` does; the parameters are those of `role`."""

    def __init__(self, info: EnvInfo, **words: str) -> None:
        self.__dict__ |= vars(make_scripted("role", words, info))


class NeverScouts(Copy):
    """Makes miners of the scouts that it is asked for."""

    def __init__(self, info: EnvInfo, **words: str) -> None:
        super().__init__(info, **words | {"scout": "0"})


class MinesTheHub(Copy):
    """Takes the hub for an extractor."""

    @property
    def targets(self) -> np.ndarray:
        return np.where((self.tasks == L.MINE)[..., None], 0, super().targets)


class AlignsItsOwn(Copy):
    """Sends aligners to a junction that the team holds already, once there is one."""

    @property
    def targets(self) -> np.ndarray:
        targets, things = super().targets, self.things(0)
        owned = things[(things[:, L.TH_KIND] == L.JUNCTION) & (things[:, L.TH_OWNER] == L.OURS)]
        if len(owned):
            cell = int(owned[0, L.TH_CELL])
            targets[self.tasks == L.ALIGN] = cell // L.SIZE - L.HALF, cell % L.SIZE - L.HALF
        return targets


class ForgetsOwners(Copy):
    """Remembers every junction as the clips'."""

    def things(self, mind: int) -> np.ndarray:
        memory = super().things(mind).copy()
        memory[:, L.TH_OWNER] = L.THEIRS
        return memory


class Blind(Copy):
    """Remembers nothing."""

    def things(self, mind: int) -> np.ndarray:
        return super().things(mind)[:0]


class Unfit:
    """No policy at all."""


class Fragile(Copy):
    """Cannot be built."""

    def __init__(self, info: EnvInfo, **words: str) -> None:
        raise ValueError("no such luck")
