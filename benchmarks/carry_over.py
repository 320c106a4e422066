#!/usr/bin/env python3
"""Policies of this project on the original's own engine: reward there and here, with 95 % intervals."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line
from benchmarks.machine import machine
from benchmarks.original import NotInstalledError, Original, add_python, find_original
from metta.common.commands import Parser, at_least
from metta.common.errors import UserError
from metta.eval.episodes import play_episodes
from metta.eval.statistics import Summary, summarize
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import EnvInfo, env_info
from metta.policy.stored.uri import make_policy

DEFAULT = (("cogsguard?gear=10", "cogsguard_arena.basic"), ("random", "cogsguard_arena.basic"))


def check_alike(info: EnvInfo, mission: Mission, said: dict[str, Any]) -> None:
    """Raise UserError unless the original's mission speaks of the same things under the same numbers."""
    there = {int(number): name for number, name in said["features"].items()}
    pairs = {
        "features": ({feature.id: feature.name for feature in info.features}, there),
        "tags": (list(info.tags), said["tags"]),
        "actions": (list(info.action_names), said["actions"]),
        "agents": (info.num_agents, said["agents"]),
        "steps": (mission.max_steps, said["steps"]),
    }
    for what, (ours, theirs) in pairs.items():
        if ours != theirs:
            raise UserError(f"{mission.name}: {what} are {theirs} in the original, {ours} here")


def play_there(uri: str, mission: Mission, python: str, seeds: range) -> list[float]:
    """Reward per cog of an episode on the original's map of each seed, all in lockstep."""
    info = env_info(mission)
    policy = make_policy(uri, info)
    with Original(python, "play", mission=mission.name, seeds=list(seeds)) as original:
        check_alike(info, mission, original.said)
        shape = (len(seeds), info.num_agents)
        seen = np.memmap(original.folder / "observations", np.uint8, "r", shape=(*shape, *info.observation_shape))
        actions = np.memmap(original.folder / "actions", np.int32, "r+", shape=shape)
        policy.reset(*shape, seeds[0])
        answer: dict[str, Any] = {}
        for _ in range(mission.max_steps):
            actions[:] = policy.step(np.array(seen))
            answer = original.ask()
    return [float(np.mean(rewards)) for rewards in answer["rewards"]]


def compare(uri: str, name: str, python: str, episodes: int, seed: int) -> dict[str, Any]:
    """One policy on one mission, there and here, on the maps that each engine makes of the same seeds."""
    mission = build_mission(MissionSettings(name=name))
    there = summarize(play_there(uri, mission, python, range(seed, seed + episodes)))
    played = play_episodes(mission, make_policy(uri, env_info(mission)), episodes, seed)
    here = summarize([float(episode.returns.mean()) for episode in played])
    return {"policy": uri, "mission": name, "episodes": episodes, "there": numbers(there), "here": numbers(here)}


def numbers(summary: Summary) -> dict[str, Any]:
    """A summary for JSON."""
    return {"reward": summary.mean, "ci95": summary.ci95, "per_episode": summary.per_episode}


def cell(numbers: dict[str, Any]) -> str:
    """Mean and interval."""
    low, high = numbers["ci95"]
    return f"{numbers['reward']:.2f}" + ("" if low is None else f" ({low:.2f} to {high:.2f})")


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument(
        "policies", nargs="*", metavar="POLICY@MISSION", help="default: the flagship and chance in the arena"
    )
    parser.add_argument("--episodes", type=at_least(1), default=20, help="on each engine")
    parser.add_argument("--seed", type=at_least(0), default=1_000_000, help="of the first map")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of a Markdown table")
    add_python(parser)
    args = parser.parse_args(argv)
    wanted = [tuple(text.rsplit("@", 1)) for text in args.policies] or list(DEFAULT)
    try:
        python = find_original(args.original_python)
        if any(len(pair) != 2 for pair in wanted):
            raise UserError("a policy and its mission are written POLICY@MISSION")
        rows = [compare(uri, mission, python, args.episodes, args.seed) for uri, mission in wanted]
    except NotInstalledError as reason:
        print(f"skipped: {reason}", file=sys.stderr)
        return 0
    if args.json:
        print(json.dumps({"benchmark": "carry_over", "rows": rows, **machine()}))
        return 0
    print(f"| policy | mission | reward per cog on the original, {args.episodes} episodes | here |")
    print("|---|---|---|---|")
    for row in rows:
        print(f"| `{row['policy']}` | {row['mission']} | {cell(row['there'])} | {cell(row['here'])} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
