#!/usr/bin/env python3
"""Measure every scripted policy: reward with its 95 % interval, deaths, and actions per second on one core."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, mission_of
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least
from metta.eval.episodes import metrics_by_name, play_episodes
from metta.eval.statistics import interval_head, summarize
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.interface import begin_episodes
from metta.policy.scripted.names import SCRIPTS
from metta.policy.stored.uri import make_policy

MISSIONS = ("cogsguard_arena.basic", "cogsguard_machina_1.basic")
VARIATIONS = (
    "cogsguard?shared=false",
    "role_py?miner=4&aligner=4",
    "role_py?miner=4&scout=1&aligner=2&scrambler=1",
    "role_py?miner=4&scout=2&aligner=2&scrambler=2",
)
HELD = "env_collective/cogs/aligned.junction.held"
DEATHS = "env_agent/death"


class Timed:
    """A policy that notes the processor time of its steps: other programs on the machine do not count."""

    def __init__(self, uri: str, mission: Mission) -> None:
        self._policy = make_policy(uri, env_info(mission))
        self.name, self.seconds = self._policy.name, 0.0
        self.reset, self.end_episodes = self._policy.reset, self._policy.end_episodes

    def reset_each(self, num_agents: int, seeds: Sequence[int]) -> None:
        begin_episodes(self._policy, num_agents, seeds)

    def step(self, observations: np.ndarray) -> np.ndarray:
        start = time.process_time()
        actions = self._policy.step(observations)
        self.seconds += time.process_time() - start
        return actions


def measure(uri: str, mission: Mission, episodes: int, seed: int) -> dict[str, Any]:
    """Junctions held on average over an episode (in the arena that is the reward), deaths per agent, actions/s."""
    policy = Timed(uri, mission)
    values = metrics_by_name(play_episodes(mission, policy, episodes, seed))
    none = [0.0] * episodes  # a statistic appears when it is first touched
    held = summarize([value / mission.max_steps for value in values.get(HELD, none)])
    return {
        "policy": uri,
        "mission": mission.name,
        "held": held.mean,
        "ci95": held.ci95,
        "deaths": round(float(np.mean(values.get(DEATHS, none))), 3),
        "actions_per_second": round(episodes * mission.max_steps * mission.agents / policy.seconds),
    }


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("policies", nargs="*", help="names or URIs (default: all names and some mixes)")
    parser.add_argument("--missions", nargs="+", default=MISSIONS)
    parser.add_argument("--episodes", type=at_least(1), default=20)
    parser.add_argument("--steps", type=at_least(1), default=1000)
    parser.add_argument("--seed", type=at_least(0), default=3_000_000)
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of a Markdown table")
    args = parser.parse_args(argv)
    names = args.policies or [*SCRIPTS, *VARIATIONS]
    missions = [mission_of(name, max_steps=args.steps) for name in args.missions]
    for mission in missions:  # compile
        play_episodes(mission.model_copy(update={"max_steps": 2}), make_policy(names[0], env_info(mission)), 1, 0)
    rows = [measure(name, mission, args.episodes, args.seed) for mission in missions for name in names]
    if args.json:
        print(json.dumps({"benchmark": "policies", "episodes": args.episodes, "rows": rows, **machine()}))
        return 0
    print(f"| policy | mission | junctions held | {interval_head(args.episodes)} | deaths per agent | actions/s |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        low, high = row["ci95"]
        interval = "–" if low is None else "all equal" if low == high else f"{low:.2f} to {high:.2f}"
        print(
            f"| `{row['policy']}` | {row['mission']} | {row['held']:.2f} | {interval} | {row['deaths']} "
            f"| {row['actions_per_second']:,} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
