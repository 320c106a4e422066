"""What a cog holds and how much it may hold (rules 1.2)."""

from collections import Counter
from dataclasses import dataclass

from metta.game.mission import CogSettings, Mission
from metta.game.resources import ELEMENTS, GEAR, RESOURCES

MOST = 65535


@dataclass(frozen=True)
class Group:
    """Items that share one capacity; the members stand in the order in which they are dropped."""

    members: tuple[str, ...]
    least: int
    most: int
    bonuses: dict[str, int]


def limit_groups(cog: CogSettings) -> list[Group]:
    alive = {"hp": 100}
    return [
        Group(("hp",), cog.hp_limit, MOST, cog.hp_modifiers),
        Group(tuple(reversed(GEAR)), 0, cog.gear_limit, alive),
        Group(("heart",), 0, cog.heart_limit, alive),
        Group(("energy",), cog.energy_limit, MOST, cog.energy_modifiers),
        Group(tuple(reversed(ELEMENTS)), cog.cargo_limit, MOST, cog.cargo_modifiers),
        Group(("influence",), cog.influence_limit, MOST, cog.influence_modifiers),
    ]


class Bag:
    """Items by name, oldest first; what is gained and lost goes to `stats`."""

    def __init__(self, mission: Mission, stats: Counter[str]):
        cog = mission.cog
        self.groups = limit_groups(cog)
        self.modifiers = {item for group in self.groups for item in group.bonuses}
        self.bonuses_add = not mission.quirks.bonuses_do_not_add
        self.stats = stats
        initial = {"solar": cog.initial_solar, "hp": cog.initial_hp, "energy": cog.initial_energy}
        self.amounts = {item: amount for item, amount in initial.items() if amount}
        if not mission.quirks.initial_energy_above_limit:
            for item in RESOURCES:
                self.update(item, 0)

    def __getitem__(self, item: str) -> int:
        return self.amounts.get(item, 0)

    def holds(self, price: dict[str, int]) -> bool:
        return all(self[item] >= amount for item, amount in price.items())

    def limit(self, group: Group) -> int:
        bonus = sum(amount * self[item] for item, amount in group.bonuses.items())
        limit = group.least + bonus if self.bonuses_add else max(group.least, bonus)
        return min(limit, group.most, MOST)

    def capacity(self, item: str) -> int:
        """Most of the item beside what else is held of its group."""
        for group in self.groups:
            if item in group.members:
                return max(0, self.limit(group) - sum(self[other] for other in group.members if other != item))
        return MOST

    def room(self, item: str) -> int:
        return self.capacity(item) - self[item]

    def update(self, item: str, delta: int) -> None:
        """The one way in which amounts change: within 0 and the capacity."""
        old = self[item]
        new = max(0, min(old + delta, self.capacity(item)))
        if new > old:
            self.amounts[item] = new
            self.stats[f"{item}.gained"] += new - old
        elif new < old:
            self._lose(item, old - new)
            if item in self.modifiers:
                self._enforce()

    def _lose(self, item: str, amount: int) -> None:
        self.amounts[item] -= amount
        self.stats[f"{item}.lost"] += amount
        if not self.amounts[item]:
            del self.amounts[item]
            if item == "hp":
                self.stats["death"] += 1

    def _enforce(self) -> None:
        """Drop from every group that is too full until none is."""
        excess = 1
        while excess:
            excess = 0
            for group in self.groups:
                over = sum(self[item] for item in group.members) - self.limit(group)
                for item in group.members:
                    drop = min(over, self[item])
                    if drop > 0:
                        self._lose(item, drop)
                        over -= drop
                        excess += drop
