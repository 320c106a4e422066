#!/usr/bin/env python3
"""Play a scripted policy for some steps and check that it sees, plays its roles and reaches its targets.

Exit code 0: all well; 1: a check failed, named on the last line; 2: bad input.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from metta.common.errors import UserError
from metta.common.settings import validated
from metta.game.engine.batch import EnvBatch
from metta.game.maps.pool import build_pool
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.scripted import layout as L
from metta.policy.scripted.policy import ROLES, ScriptedPolicy
from metta.policy.uri import make_policy

DEFAULT = "metta://policy/role?miner=4&scout=2&aligner=2&scrambler=2"
ALL_ROLES = ("miner", "aligner", "scrambler", "scout")
KINDS = {"mine": (L.EXTRACTOR, L.KINDS), "align": (L.JUNCTION, L.STATION), "scramble": (L.JUNCTION, L.STATION)}


class Audit:
    """Counters over a rollout of one environment."""

    def __init__(self, batch: EnvBatch, policy: ScriptedPolicy) -> None:
        self.batch, self.policy = batch, policy
        self.counts: Counter[str] = Counter()
        self.roles: set[str] = set()
        self.last_tasks = np.zeros(batch.num_agents, int)

    def look(self, cargo_before: np.ndarray) -> None:
        """Count after a step of the policy: what it takes things for, and which tasks begin."""
        self.counts["steps"] += 1
        self.roles |= {ROLES[role] for role in self.policy.roles[0]} - {"none"}
        real = {(thing["row"], thing["col"]): thing for thing in self.batch.objects(0)}
        row, col = next(place for place, thing in real.items() if thing["type"].endswith(":hub"))
        memory, now = self.policy.things(0), self.policy.clock(0)
        self.counts["hub missing"] += not (memory[:, L.TH_KIND] == L.HUB).any()
        owners = {L.NEUTRAL: None, L.OURS: "cogs", L.THEIRS: "clips"}
        for kind, cell, owner, _, seen in memory[:, :5]:
            if kind in (L.JUNCTION, L.TEAM_JUNCTION) and seen == now:
                place = real[cell // L.SIZE - L.HALF + row, cell % L.SIZE - L.HALF + col]
                self.counts["junctions checked"] += 1
                self.counts["junction owner mismatches"] += place["owner"] != owners[owner]
        self._begin_tasks(real, row, col)
        cargo = self.batch.inventories()[0, :, 5:9].sum(1)
        self.counts["deposits"] += int(((cargo_before > 4) & (cargo < cargo_before)).sum())

    def _begin_tasks(self, real: dict[tuple[int, int], dict], row: int, col: int) -> None:
        for agent, task in enumerate(self.policy.tasks[0]):
            name = L.TASKS[task]
            if task != self.last_tasks[agent] and name in KINDS:
                goal = tuple((self.policy.targets[0, agent] + [row, col]).tolist())
                kind = real.get(goal, {"type": "nothing"})["type"]
                self.counts[f"{name} attempts"] += 1
                self.counts[f"{name} mismatches"] += ("extractor" if name == "mine" else "junction") not in kind
            self.last_tasks[agent] = task

    def failure(self, allow_missing_roles: bool) -> str | None:
        """The first check that fails, or None."""
        for name in ("hub missing", "junction owner mismatches"):
            if self.counts[name]:
                return f"{name}: {self.counts[name]}"
        if allow_missing_roles:
            return None
        if missing := [role for role in ALL_ROLES if role not in self.roles]:
            return f"roles never seen: {', '.join(missing)}"
        for name in ("mine attempts", "deposits", "align attempts", "scramble attempts"):
            if not self.counts[name]:
                return f"{name}: 0"
        return next((f"{name} mismatches: {self.counts[f'{name} mismatches']}"
                     for name in KINDS if self.counts[f"{name} mismatches"]), None)  # fmt: skip


def rollout(uri: str, agents: int, steps: int, max_steps: int, seed: int) -> Audit:
    """Play and count. Raises UserError for bad input or a policy that is not scripted."""
    words = {"name": "cogsguard_arena.basic", "cogs": agents, "max_steps": max_steps}
    mission = build_mission(validated(MissionSettings, words, "mission"))
    policy = make_policy(uri, env_info(mission))
    if not isinstance(policy, ScriptedPolicy):
        raise UserError(f"{uri}: only scripted policies tell what they are about")
    batch = EnvBatch(mission, 1, maps=build_pool(mission, 1, seed), seed=seed, auto_reset=False)
    shape = (1, agents)
    observations = np.zeros((*shape, batch.info.num_tokens, 3), np.uint8)
    rewards, terminals, truncations = np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(shape, bool)
    batch.reset(observations)
    policy.reset(1, agents, seed)
    audit = Audit(batch, policy)
    cargo = np.zeros(agents, int)
    for _ in range(min(steps, max_steps)):
        actions = policy.step(observations)
        audit.look(cargo)
        cargo = batch.inventories()[0, :, 5:9].sum(1)
        batch.step(actions, observations, rewards, terminals, truncations)
    return audit


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--agents", type=int, default=10)
    parser.add_argument("--max-steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--policy-uri", default=DEFAULT)
    parser.add_argument("--allow-missing-roles", action="store_true", help="judge only what the policy sees")
    args = parser.parse_args(argv)
    try:
        audit = rollout(args.policy_uri, args.agents, args.steps, args.max_steps, args.seed)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.policy_uri}\n- roles: {', '.join(sorted(audit.roles))}")
    for name, count in audit.counts.items():
        print(f"- {name}: {count}")
    if problem := audit.failure(args.allow_missing_roles):
        print(f"FAILED {problem}")
        return 1
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
