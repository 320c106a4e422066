"""Two policies side by side: which actions they choose, and how many of their moves succeed."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from metta.eval.diagnostics.scenes import Player
from metta.game.mission import Mission
from metta.policy.interface import Policy


@dataclass
class Tally:
    """Actions of one policy over an episode's beginning: `executed` are those that its agents observe."""

    policy_uri: str
    executed: Counter[str] = field(default_factory=Counter)
    move_attempts: int = 0
    move_success: int = 0

    @property
    def document(self) -> dict[str, Any]:
        return {
            "policy_uri": self.policy_uri,
            "total_actions": self.executed.total(),
            "move_attempts": self.move_attempts,
            "move_success": self.move_success,
            "move_fail": self.move_attempts - self.move_success,
            "move_success_rate": self.move_success / self.move_attempts if self.move_attempts else 0.0,
            "actions": dict(self.executed.most_common()),
        }

    def lines(self, top: int) -> list[str]:
        found = self.document
        return [
            f"- policy_uri: {self.policy_uri}",
            f"- total_actions: {found['total_actions']}",
            f"- move_attempts: {self.move_attempts} move_success: {self.move_success} "
            f"move_fail: {found['move_fail']} move_success_rate: {found['move_success_rate']:.3f}",
            f"- top_actions: {', '.join(f'{name}:{n}' for name, n in self.executed.most_common(top))}",
        ]


def tally(uri: str, policy: Policy, mission: Mission, steps: int, seed: int) -> Tally:
    """Play and count."""
    player = Player(mission, policy, seed)
    names, found = player.info.action_names, Tally(uri)
    for scene in player.scenes(steps):
        moves = [names[action].startswith("move") for action in scene.actions]
        found.move_attempts += sum(moves)
        found.move_success += sum(bool(ok) for ok, move in zip(scene.succeeded, moves, strict=True) if move)
        found.executed.update(names[action] for action in scene.executed if action >= 0)
    return found


def deltas(a: Tally, b: Tally) -> list[tuple[str, int]]:
    """Difference of the counts, A - B, of every action that either executed, largest first."""
    differences = {name: a.executed[name] - b.executed[name] for name in {*a.executed, *b.executed}}
    return sorted(differences.items(), key=lambda entry: (-abs(entry[1]), entry[0]))


def lines(a: Tally, b: Tally, top_actions: int, top_deltas: int) -> list[str]:
    """The report for people."""
    shown = ", ".join(f"{name}:{n:+d}" for name, n in deltas(a, b)[:top_deltas])
    parts = [line for label, one in (("A", a), ("B", b)) for line in (f"Policy {label}", *one.lines(top_actions))]
    return ["Cogsguard parity summary", *parts, f"- top_action_deltas (A-B): {shown}"]


def document(a: Tally, b: Tally) -> dict[str, Any]:
    return {"policy_a": a.document, "policy_b": b.document, "action_deltas": dict(deltas(a, b))}
