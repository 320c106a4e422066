"""The sanity check: does a policy see, play its roles, and aim at the right things?

A target counts as wrong only where neither what the agent saw last nor what its team saw last supports it; its owner
may also be inferred, if the memory is open and says so. What a policy does not tell (see
`metta.policy.interface.Telling`) or remember openly is not judged.
"""

from collections import Counter
from typing import Any

from metta.eval.diagnostics.coverage import CORE, RoleCoverage, StationUse, Trace
from metta.eval.diagnostics.memory import MemoryCheck
from metta.eval.diagnostics.scenes import COGS, EXTRACTOR, HUB, JUNCTION, Player, Scene, Sight, World
from metta.game.mission import Mission
from metta.game.resources import GEAR, RESOURCES
from metta.policy.hosted.by_class import is_class, parse_class
from metta.policy.interface import Policy, tells
from metta.policy.scripted.names import parse_query
from metta.policy.stored.uri import SCHEME

ACTION_OF = {"miner": "mine", "aligner": "align", "scrambler": "scramble"}
TARGET = {"mine": EXTRACTOR, "align": JUNCTION, "scramble": JUNCTION}
PRICES = {"align": ("gear", "heart", "influence"), "scramble": ("gear", "heart")}
COUNTERS = {
    "miner": ("mine_attempts", "mine_mismatches", "deposit_attempts"),
    "scout": ("unique_positions", "max_structures_seen"),
    "aligner": ("align_attempts", "align_mismatches", "align_cogs_targets"),
    "scrambler": ("scramble_attempts", "scramble_mismatches", "scramble_cogs_targets"),
}
STRUCTURES = 5  # that the best scout must have seen


class RolloutCheck:
    """Counters over an episode's beginning, and the verdict."""

    def __init__(self, mission: Mission, policy: Policy, seed: int, role_trace: Trace, resource_trace: Trace) -> None:
        self.player = Player(mission, policy, seed)
        self.memory = MemoryCheck(policy)
        self.coverage, self.stations = RoleCoverage(), StationUse(mission)
        self.counts: Counter[str] = Counter()
        self.prerequisites = {action: Counter(dict.fromkeys(needs, 0)) for action, needs in PRICES.items()}
        self.prerequisite_lines: list[str] = []
        self.role_trace, self.resource_trace = role_trace, resource_trace
        self.visited: dict[int, set[tuple[int, int]]] = {}  # cells by scout
        self._intents: list[Any] = [None] * mission.agents
        self._tells = tells(policy)

    def run(self, steps: int) -> None:
        for scene in self.player.scenes(steps):
            if scene.step == 1:
                self.sight = Sight(scene.before, self.player.info.window)
            self.sight.look(scene.before)
            self.memory.look(scene.before, self.sight)
            self.coverage.look(scene)
            self.stations.look(scene)
            for agent in range(len(scene.roles)):
                self._look_at(scene, agent)
            self._trace(scene)

    def _look_at(self, scene: Scene, agent: int) -> None:
        role = scene.roles[agent]
        if role == "scout":
            self._look_at_scout(scene, agent)
        if role == "miner" and scene.after.cargo[agent] < scene.before.cargo[agent]:
            self.counts["deposit_attempts"] += _at_depot(scene.before, agent)
        action = ACTION_OF.get(role)
        intent = scene.intents[agent] if self._tells else self._inferred(scene, agent, action)
        if intent and intent != self._intents[agent] and intent[0] == action:
            self._begin(scene, agent, *intent)
        self._intents[agent] = intent

    def _look_at_scout(self, scene: Scene, agent: int) -> None:
        """The figures are those of the scout that saw, or walked, most."""
        row, col = scene.before.positions[agent].tolist()
        cells = self.visited.setdefault(agent, set())
        cells.add((row, col))
        for name, figure in (("unique_positions", len(cells)), ("max_structures_seen", self.sight.count(agent))):
            self.counts[name] = max(self.counts[name], figure)

    def _inferred(self, scene: Scene, agent: int, action: str | None) -> tuple[str, int, int] | None:
        """Of a policy that tells nothing: the use of what its gear is for."""
        cell = scene.ahead(agent)
        if action and cell and scene.before.kinds[cell] == TARGET[action]:
            return action, *cell
        return None

    def _begin(self, scene: Scene, agent: int, action: str, row: int, col: int) -> None:
        """Count an attempt: its target, and whether the agent has what it needs."""
        self.counts[f"{action}_attempts"] += 1
        if not self.sight.was(agent, row, col, TARGET[action]):
            self.counts[f"{action}_mismatches"] += 1
        elif action != "mine":
            owned = self.sight.owned(agent, row, col) and self.memory.owned(agent, row, col)
            self.counts[f"{action}_cogs_targets"] += owned
        if action in PRICES:
            self._check_prerequisites(scene, agent, action)

    def _check_prerequisites(self, scene: Scene, agent: int, action: str) -> None:
        gear = next(role for role, does in ACTION_OF.items() if does == action)
        names = {"gear": gear, "heart": "heart", "influence": "influence"}
        has = {need: int(scene.before.inventories[agent, RESOURCES.index(names[need])]) for need in names}
        missing = [need for need in PRICES[action] if has[need] < 1]
        self.prerequisites[action].update(missing)
        amounts = " ".join(f"{need}={amount}" for need, amount in has.items())
        self.prerequisite_lines.append(
            f"step={scene.step} agent={agent} action={action} {amounts} missing[{','.join(missing) or '-'}]"
        )

    def _trace(self, scene: Scene) -> None:
        if self.role_trace.due(scene.step):
            self.role_trace.lines.append(self.coverage.line(scene.step, self.coverage.changed))
        if self.resource_trace.due(scene.step):
            now = self.stations.now
            self.resource_trace.lines.append(self.stations.line(scene, now["uses"], now["paid"]))

    def failure(self, asked: set[str], allow_missing_roles: bool) -> str | None:
        """The first check that fails, or None. `asked`: roles that must be seen and act."""
        if bad := self.memory.failure():
            return bad
        if allow_missing_roles:
            return None
        if missing := [role for role in GEAR if role in asked and role not in self.coverage.observed]:
            return f"roles never observed: {', '.join(missing)}"
        for role, action in ACTION_OF.items():
            if role in asked and not self.counts[f"{action}_attempts"]:
                return f"{action}_attempts: 0"
            for name in (f"{action}_mismatches", f"{action}_cogs_targets"):
                if self._tells and self.counts[name]:
                    return f"{name}: {self.counts[name]}"
            if role in asked and role == "miner" and not self.counts["deposit_attempts"]:
                return "deposit_attempts: 0"
        if "scout" in asked and self.counts["max_structures_seen"] < STRUCTURES:
            return f"max_structures_seen: {self.counts['max_structures_seen']}, fewer than {STRUCTURES}"
        return None

    def document(self) -> dict[str, Any]:
        """All counters."""
        return {
            "steps": len(self.coverage.per_step),
            "tells_intents": self._tells,
            "memory": {"judged": self.memory.judged, **self.memory.counts},
            "observed_roles": self.coverage.observed,
            "roles": {role: {name: self.counts[name] for name in names} for role, names in COUNTERS.items()},
            "gear_stations": {gear: self.stations.summary(gear) for gear in GEAR},
            "gear_resource_windows": {gear: self.stations.windows[gear] for gear in GEAR},
            "gear_resource_windows_with_role_adjacent": {gear: self.stations.adjacent_windows[gear] for gear in GEAR},
            "coverage": self.coverage.summary(),
            "steps_with_all_roles": self.coverage.steps_with(GEAR),
            "steps_with_core_roles": self.coverage.steps_with(CORE),
            "role_transitions": {f"{a}->{b}": n for (a, b), n in self.coverage.transitions.most_common()},
            "prerequisites": {
                action: {f"missing_{need}": n for need, n in missing.items()}
                for action, missing in self.prerequisites.items()
            },
        }


def asked_roles(uri: str) -> set[str]:
    """The roles that a policy's name or parameters ask for; where they ask for none, those that it cannot do without:
    no junction is held without hearts, and none without aligners, but whether clips are met is luck."""
    name, _, query = uri.removeprefix(SCHEME).partition("?")
    words = parse_class(uri).words if is_class(uri) else parse_query(name, query)
    listed = {role for key in ("role_order", "role_cycle", "role_vibes") for role in words.get(key, "").split(",")}
    counted = {role for role in GEAR if words.get(role, "0") != "0"}
    return ({name, *listed, *counted} & set(GEAR)) or {"miner", "aligner"}


def _at_depot(world: World, agent: int) -> bool:
    """Does the agent stand beside the hub or a junction of the cogs?"""
    near = [(world.kinds[cell], world.owners[cell]) for cell in world.around(agent)]
    return any(kind == HUB or (kind == JUNCTION and owner == COGS) for kind, owner in near)


def lines(check: RolloutCheck, trace_prerequisites: bool) -> list[str]:
    """The report for people."""
    found = check.document()
    memory = found["memory"]
    top = list(found["role_transitions"].items())[:5]
    text = [
        "Cogsguard rollout sanity check",
        f"- steps: {found['steps']}",
        *(f"- {name}: {memory[name]}" for name in check.memory.counts),
        f"- observed roles: {', '.join(found['observed_roles'])}",
        "Role behavior checks",
        *(f"- {role}: {_pairs(counts)}" for role, counts in found["roles"].items()),
        "Gear station diagnostics",
        *(f"- {gear}: {_pairs(found['gear_stations'][gear])}" for gear in ("scrambler", "aligner", "miner", "scout")),
        f"- gear resource windows: {found['gear_resource_windows']}",
        f"- gear resource windows with role adjacent: {found['gear_resource_windows_with_role_adjacent']}",
        "Role coverage",
        *(f"- {role}: min={n['min']} max={n['max']} avg={n['avg']:.2f}" for role, n in found["coverage"].items()),
        f"- steps_with_all_roles: {found['steps_with_all_roles']}",
        f"- steps_with_core_roles: {found['steps_with_core_roles']}",
    ]
    if top:
        text.append(f"- top_role_transitions: {', '.join(f'{change}:{n}' for change, n in top)}")
    prerequisites = [f"- {action}: {_pairs(missing)}" for action, missing in found["prerequisites"].items()]
    sections = (
        ("Role trace", check.role_trace.lines),
        ("Action prerequisite checks", prerequisites),
        ("Action prerequisite trace", check.prerequisite_lines if trace_prerequisites else []),
        ("Resource trace (cogs collective inventory)", check.resource_trace.lines),
    )
    return text + [line for title, part in sections if part for line in (title, *part)]


def _pairs(counts: dict[str, int]) -> str:
    return " ".join(f"{name}={count}" for name, count in counts.items())
