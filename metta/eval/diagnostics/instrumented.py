"""The instrumented audit: roles and the team's stock over a longer rollout, and what each agent came to know."""

from statistics import mean
from typing import Any

from metta.eval.diagnostics.coverage import RoleCoverage, StationUse, Trace
from metta.eval.diagnostics.scenes import EXTRACTOR, JUNCTION, Player, Sight
from metta.game.mission import Mission
from metta.game.resources import GEAR
from metta.policy.interface import Policy


class InstrumentedAudit:
    """Reports, does not judge."""

    def __init__(self, mission: Mission, policy: Policy, seed: int, every: int) -> None:
        self.player = Player(mission, policy, seed)
        self.coverage, self.stations = RoleCoverage(), StationUse(mission)
        self.role_trace, self.resource_trace = Trace(every), Trace(every)
        self.agents = mission.agents

    def run(self, steps: int) -> None:
        for scene in self.player.scenes(steps):
            if scene.step == 1:
                self.sight = Sight(scene.before, self.player.info.window)
            self.sight.look(scene.before)
            self.coverage.look(scene)
            self.stations.look(scene)
            if self.role_trace.due(scene.step):
                self.role_trace.lines.append(self.coverage.line(scene.step, self.coverage.transitions.total()))
                self.resource_trace.lines.append(self.stations.line(scene, self.stations.uses, self.stations.paid))

    def document(self) -> dict[str, Any]:
        seen = {"charger_counts": JUNCTION, "extractor_counts": EXTRACTOR}
        return {
            "steps": len(self.coverage.per_step),
            "agents": self.agents,
            "role_trace": self.role_trace.lines,
            "resource_trace": self.resource_trace.lines,
            "roles": self.coverage.summary(),
            "role_transitions": {f"{a} -> {b}": n for (a, b), n in sorted(self.coverage.transitions.items())},
            "gear_stations": {gear: self.stations.summary(gear) for gear in GEAR},
            **{name: [self.sight.count(agent, kind) for agent in range(self.agents)] for name, kind in seen.items()},
        }


def lines(found: dict[str, Any], policy_uri: str) -> list[str]:
    """The report for people, from the document."""
    text = [
        "Cogsguard instrumented audit",
        f"- steps: {found['steps']}",
        f"- policy_uri: {policy_uri}",
        f"- agents: {found['agents']}",
        "Role trace",
        *found["role_trace"],
        "Resource trace (cogs collective)",
        *found["resource_trace"],
        "Role count summary",
        *(f"- {role}: min={n['min']}, max={n['max']}, avg={n['avg']:.2f}" for role, n in found["roles"].items()),
    ]
    if found["role_transitions"]:
        text += ["Role transitions", *(f"- {change}: {n}" for change, n in found["role_transitions"].items())]
    for name in ("charger", "extractor"):
        counts = found[f"{name}_counts"]
        text.append(f"{name.capitalize()} counts per agent: {counts}")
        text.append(f"{name.capitalize()} counts min/max/avg: {min(counts)} {max(counts)} {mean(counts):.2f}")
    return text
