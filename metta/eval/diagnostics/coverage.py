"""Who has which role when, and how the gear stations and the team's stock are used: shared by two diagnostics."""

from collections import Counter
from typing import Any

from metta.eval.diagnostics.scenes import KINDS, Scene
from metta.game.mission import Mission
from metta.game.resources import GEAR

CORE = ("miner", "aligner", "scrambler")


class RoleCoverage:
    """Agents per role and step, and changes of role."""

    def __init__(self) -> None:
        self.per_step: list[Counter[str]] = []
        self.transitions: Counter[tuple[str, str]] = Counter()
        self.changed = 0  # transitions of the last step
        self._roles: list[str] = []

    def look(self, scene: Scene) -> None:
        self.per_step.append(Counter(scene.roles))
        changes = [pair for pair in zip(self._roles, scene.roles, strict=False) if pair[0] != pair[1]]
        self.transitions.update(changes)
        self.changed, self._roles = len(changes), scene.roles

    @property
    def observed(self) -> list[str]:
        return sorted({role for roles in self.per_step for role in roles} & set(GEAR))

    def steps_with(self, roles: tuple[str, ...]) -> int:
        return sum(all(step[role] for role in roles) for step in self.per_step)

    def summary(self) -> dict[str, dict[str, float]]:
        """Fewest, most and mean agents of each role over the steps."""
        counts = {role: [step[role] for step in self.per_step] for role in GEAR}
        return {role: {"min": min(n), "max": max(n), "avg": sum(n) / len(n)} for role, n in counts.items()}

    def line(self, step: int, transitions: int) -> str:
        """The trace line of the last step."""
        roles = self.per_step[-1]
        counts = " ".join(f"{role}={roles[role]}" for role in GEAR)
        return f"step={step} roles[{counts}] present[{_listed(self.present)}] transitions={transitions}"

    @property
    def present(self) -> list[str]:
        return [role for role in GEAR if self.per_step[-1][role]]


class StationUse:
    """Moves into the station of the agent's role, and whether the team could pay the gear then."""

    def __init__(self, mission: Mission) -> None:
        self.costs: dict[str, dict[str, int]] = {gear: getattr(mission.cost, gear) for gear in GEAR}
        self.uses: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()  # uses when the stock covered the price
        self.acquired: Counter[str] = Counter()
        self.windows: Counter[str] = Counter()  # steps when the stock covered the price
        self.adjacent_windows: Counter[str] = Counter()  # of those: an agent of the role stood beside its station
        self.now: dict[str, Any] = {}
        self._traced: dict[str, int] = {}

    def look(self, scene: Scene) -> None:
        uses, paid, adjacent = Counter[str](), Counter[str](), set[str]()
        affordable = [gear for gear in GEAR if self._affordable(gear, scene.before.stock)]
        for agent, role in enumerate(scene.roles):
            if role not in GEAR:
                continue
            gained = bool(scene.after.worn(role)[agent] > scene.before.worn(role)[agent])
            self.acquired[role] += gained
            if scene.kind_ahead(agent) == role:
                uses[role] += 1
                paid[role] += gained or role in affordable
            if KINDS.index(role) in (scene.before.kinds[cell] for cell in scene.before.around(agent)):
                adjacent.add(role)
        self.uses += uses
        self.paid += paid
        self.windows.update(affordable)
        self.adjacent_windows.update(adjacent & set(affordable))
        self.now = {"uses": uses, "paid": paid, "adjacent": adjacent, "available": affordable}

    def line(self, scene: Scene, uses: Counter[str], paid: Counter[str]) -> str:
        """The trace line: totals after the step, their change since the line before, and the uses given."""
        stock = dict(sorted(scene.after.totals.items()))
        before, self._traced = self._traced or stock, stock
        inventory = " ".join(f"{name}={amount}" for name, amount in stock.items())
        delta = " ".join(f"{name}={amount - before[name]:+d}" for name, amount in stock.items())
        return (
            f"step={scene.step} inv[{inventory}] delta[{delta}] station_uses[{_counts(uses)}] "
            f"station_uses_with_resources[{_counts(paid)}] adjacent_roles[{_listed(sorted(self.now['adjacent']))}] "
            f"available_roles[{_listed(sorted(self.now['available']))}]"
        )

    def summary(self, gear: str) -> dict[str, int]:
        return {
            "gear_station_uses": self.uses[gear],
            "gear_acquired": self.acquired[gear],
            "gear_attempts_with_resources": self.paid[gear],
            "gear_attempts_without_resources": self.uses[gear] - self.paid[gear],
        }

    def _affordable(self, gear: str, stock: dict[str, int]) -> bool:
        return all(stock[element] >= price for element, price in self.costs[gear].items())


class Trace:
    """Lines every so many steps (0: never), at most `limit` of them (0: no limit)."""

    def __init__(self, every: int, limit: int = 0) -> None:
        self.every, self.limit, self.lines = every, limit, list[str]()

    def due(self, step: int) -> bool:
        return self.every > 0 and step % self.every == 0 and not (self.limit and len(self.lines) >= self.limit)


def _counts(counts: Counter[str]) -> str:
    return " ".join(f"{role}={counts[role]}" for role in GEAR)


def _listed(names: list[str]) -> str:
    return ",".join(names) or "-"
