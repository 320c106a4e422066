"""Evaluate a policy: episodes on maps of fixed seeds, every metric with its interval."""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from metta.common.errors import UserError
from metta.common.settings import validated
from metta.eval.episodes import BATCH, metrics_by_name, play_episodes
from metta.eval.statistics import Summary, show, summarize
from metta.game.engine.batch import Episode
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.interface import Policy
from metta.policy.uri import BUILT_IN, CHECKPOINTS, SCHEME, find_bundle, list_versions, make_policy
from metta.rl.machine import available_cores, set_up
from metta.rl.settings import EvaluateConfig, PlayConfig

SCHEMA_VERSION = 1
# Rows of the table; --format json has all metrics.
SHOWN = (
    "reward", "env_agent/heart.gained", "env_agent/junction.aligned_by_agent", "env_agent/junction.scrambled_by_agent",
    "env_collective/cogs/aligned.junction.held", "env_collective/clips/aligned.junction.held", "env_agent/death",
    "env_agent/aligner.gained", "env_agent/scrambler.gained", "env_agent/miner.gained", "env_agent/scout.gained",
    "env_agent/cell.visited", "env_agent/action.move.success", "env_agent/action.failed",
)  # fmt: skip


def contestants(config: EvaluateConfig | PlayConfig) -> tuple[str, Policy, Mission]:
    """URI, policy and mission of a job. The policy is policy_uri, or the newest checkpoint of the run, or of the run
    that saved last; the mission is the one that is named, or else what the policy was trained on (or the default),
    with the configured changes.

    Raises:
        UserError: there is no such policy or mission.
    """
    uri = config.policy_uri or config.run or newest_run(Path(config.system.data_dir))
    trained = trained_on(uri, config.system.data_dir) or MissionSettings()
    changes = config.mission.model_dump(exclude_unset=True) if config.mission else {}
    before = {} if "name" in changes else trained.model_dump()
    mission = build_mission(MissionSettings.model_validate(before | changes))
    device = set_up(config.system)
    return uri, make_policy(uri, env_info(mission), config.system.data_dir, device), mission


def newest_run(data_dir: Path) -> str:
    """The run whose checkpoint was saved last. Raises UserError when there is none."""
    folders = [folder for folder in data_dir.glob(f"*/{CHECKPOINTS}") if list_versions(folder.parent)]
    if not folders:
        raise UserError(f"nothing to play: no run in {data_dir} has a checkpoint; name a policy (policy_uri=random)")
    return max(folders, key=lambda folder: folder.stat().st_mtime).parent.name


def trained_on(uri: str, data_dir: str) -> MissionSettings | None:
    """Mission settings of the run that a checkpoint belongs to; None for built-in policies and lone bundles."""
    if uri.removeprefix(SCHEME) in BUILT_IN or uri.startswith(SCHEME):
        return None
    tree = find_bundle(uri, data_dir).folder.parents[1] / "config.yaml"
    if not tree.is_file():
        return None
    return validated(MissionSettings, yaml.safe_load(tree.read_text())["mission"], f"{tree}: mission")


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
    batches = -(-episodes // BATCH)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("playing (steps)", total=batches * mission.max_steps)
        return play_episodes(
            mission, policy, episodes, seed, available_cores(), lambda steps: bar.update(task, completed=steps)
        )


def evaluate(config: EvaluateConfig) -> int:
    """Run the job and print its result: a table, or one JSON document. Raises UserError for bad input."""
    uri, policy, mission = contestants(config)
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
