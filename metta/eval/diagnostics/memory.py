"""Does what a scripted policy remembers agree with what its agents see?"""

from collections import Counter

import numpy as np

from metta.eval.diagnostics.scenes import CLIPS, COGS, HUB, JUNCTION, NEUTRAL, Sight, World
from metta.policy.interface import Policy
from metta.policy.scripted import layout as L
from metta.policy.scripted.policy import ScriptedPolicy

Memory = dict[tuple[int, int], tuple[int, int]]  # kind and owner by cell of the map
OWNERS = {L.NEUTRAL: NEUTRAL, L.OURS: COGS, L.THEIRS: CLIPS}
JUNCTIONS = (L.JUNCTION, L.TEAM_JUNCTION)
FAILURES = (
    "hub missing in structures",
    "tagged/clipped junction mismatches",
    "neutral junctions flagged as clips",
)


class MemoryCheck:
    """Compares hub and junctions in each agent's window with the memory of its mind."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy if isinstance(policy, ScriptedPolicy) else None
        names = (
            "hub seen", FAILURES[0], "tagged/clipped junctions checked", FAILURES[1], "neutral junctions checked",
            FAILURES[2],
        )  # fmt: skip
        self.counts: Counter[str] = Counter(dict.fromkeys(names, 0))
        self._known: list[Memory] = []  # by agent

    @property
    def judged(self) -> bool:
        return self.policy is not None

    def look(self, world: World, sight: Sight) -> None:
        """Count after a step of the policy, in the world that it saw."""
        hub = np.argwhere(world.kinds == HUB)[0]
        minds: list[int] = self.policy.minds[0].tolist() if self.policy else []
        memories = {mind: self._memory(mind, hub) for mind in set(minds)}
        self._known = [memories[mind] for mind in minds] or [{}] * len(world.positions)
        for agent, known in enumerate(self._known):
            rows, cols = sight.window(world, agent)
            kinds = world.kinds[rows, cols]
            if (kinds == HUB).any():
                self.counts["hub seen"] += 1
                self.counts[FAILURES[0]] += self.judged and L.HUB not in {kind for kind, _ in known.values()}
            for row, col in np.argwhere(kinds == JUNCTION).tolist():
                cell = rows.start + row, cols.start + col
                kind, owner = known.get(cell, (None, NEUTRAL))
                if kind in JUNCTIONS:
                    self._compare(int(world.owners[cell]), OWNERS[owner])

    def owned(self, agent: int, row: int, col: int) -> bool:
        """Does the agent's mind hold that what stands there is the team's? True where it is not open to see."""
        return not self.judged or self._known[agent].get((row, col), (0, L.OURS))[1] == L.OURS

    def _compare(self, real: int, remembered: int) -> None:
        if real == NEUTRAL:
            self.counts["neutral junctions checked"] += 1
            self.counts[FAILURES[2]] += remembered == CLIPS
        else:
            self.counts["tagged/clipped junctions checked"] += 1
            self.counts[FAILURES[1]] += remembered != real

    def _memory(self, mind: int, hub: np.ndarray) -> Memory:
        assert self.policy is not None
        things = self.policy.things(mind)[:, [L.TH_KIND, L.TH_CELL, L.TH_OWNER]].tolist()
        top, left = (hub - L.HALF).tolist()
        return {
            (cell // L.SIZE + top, cell % L.SIZE + left): (kind, owner)
            for kind, cell, owner in things
            if kind != L.GONE
        }

    def failure(self) -> str | None:
        return next((f"{name}: {self.counts[name]}" for name in FAILURES if self.counts[name]), None)
