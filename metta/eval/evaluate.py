"""Evaluate a policy: episodes on maps of fixed seeds, every metric with its interval."""

import json
import os
import sys
import time
from dataclasses import asdict
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from metta.common.errors import UserError
from metta.eval.episodes import metrics_by_name, play_episodes
from metta.eval.statistics import Summary, show, summarize
from metta.game.engine.batch import Episode
from metta.game.mission import Mission
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.interface import Policy
from metta.policy.uri import make_policy
from metta.rl.settings import EvaluateConfig, PlayConfig

SCHEMA_VERSION = 1
# Rows of the table; --format json has all metrics.
SHOWN = (
    "reward", "env_agent/heart.gained", "env_agent/junction.aligned_by_agent", "env_agent/junction.scrambled_by_agent",
    "env_collective/cogs/aligned.junction.held", "env_collective/clips/aligned.junction.held", "env_agent/death",
    "env_agent/aligner.gained", "env_agent/scrambler.gained", "env_agent/miner.gained", "env_agent/scout.gained",
    "env_agent/cell.visited", "env_agent/action.move.success", "env_agent/action.failed",
)  # fmt: skip


def policy_of(config: EvaluateConfig | PlayConfig, mission: Mission) -> tuple[str, Policy]:
    """The policy that a job names by policy_uri, or the newest checkpoint of its run; and its URI.

    Raises:
        UserError: neither is given, or there is no such policy.
    """
    uri = config.policy_uri or config.run
    if not uri:
        raise UserError("nothing to play: name a policy (policy_uri=random) or a run (run=NAME)")
    device = resolve_device(config.system.device)
    return uri, make_policy(uri, env_info(mission), config.system.data_dir, device)


def resolve_device(name: str) -> torch.device:
    """`auto` is CUDA, then Apple's MPS, then the CPU. Raises UserError for a device that is not there."""
    mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    if (name == "cuda" and not torch.cuda.is_available()) or (name == "mps" and not mps):
        raise UserError(f"system.device={name}: this machine has none (cpu and auto work)")
    return torch.device(name)


def summaries(episodes: list[Episode]) -> dict[str, Summary]:
    return {name: summarize(values) for name, values in metrics_by_name(episodes).items()}


def document(config: EvaluateConfig, uri: str, mission: Mission, results: dict[str, Summary]) -> dict[str, Any]:
    """The JSON document of an evaluation. `reward` is the mean over agents of the episode return."""
    return {
        "schema_version": SCHEMA_VERSION,
        "policy_uri": uri,
        "mission": mission.name,
        "variants": mission.variants,
        "agents": mission.agents,
        "max_steps": mission.max_steps,
        "episodes": config.episodes,
        "seeds": list(range(config.seed, config.seed + config.episodes)),
        "metrics": {name: asdict(summary) for name, summary in results.items()},
    }


def table(uri: str, mission: Mission, results: dict[str, Summary], episodes: int) -> Table:
    """The best-known metrics, with 95 % intervals."""
    output = Table(title=f"{uri} on {mission.name}: mean of {episodes} episodes, {mission.agents} agents")
    output.add_column("metric")
    output.add_column("mean", justify="right")
    output.add_column("95 % interval", justify="right")
    for name in SHOWN:
        if name in results:
            low, high = results[name].ci95
            output.add_row(name, show(results[name].mean), f"{show(low)} … {show(high)}")
    return output


def run_episodes(mission: Mission, policy: Policy, episodes: int, seed: int) -> list[Episode]:
    """Play with a progress bar on standard error, where that is a terminal."""
    batches = -(-episodes // 64)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("playing (steps)", total=batches * mission.max_steps)
        threads = os.cpu_count() or 1
        return play_episodes(mission, policy, episodes, seed, threads, lambda steps: bar.update(task, completed=steps))


def evaluate(config: EvaluateConfig) -> int:
    """Run the job and print its result: a table, or one JSON document. Raises UserError for bad input."""
    mission = build_mission(config.mission)
    uri, policy = policy_of(config, mission)
    start = time.perf_counter()
    episodes = run_episodes(mission, policy, config.episodes, config.seed)
    seconds = time.perf_counter() - start
    results = summaries(episodes)
    if config.format == "json":
        print(json.dumps(document(config, uri, mission, results)))
        return 0
    Console().print(table(uri, mission, results, config.episodes))
    rate = config.episodes * mission.max_steps * mission.agents / seconds
    print(f"seeds {config.seed} to {config.seed + config.episodes - 1}, {seconds:.1f} s, {rate:,.0f} agent-steps/s")
    return 0
