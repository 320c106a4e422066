"""Evaluate a policy: episodes on maps of fixed seeds, every metric with its interval."""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from metta.common.errors import UserError
from metta.common.settings import validated
from metta.eval.episodes import BATCH, metrics_by_name, play_episodes
from metta.eval.foreign import foreign_summaries, play_foreign
from metta.eval.statistics import Summary, show, summarize
from metta.game.engine.batch import Episode
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.interface import Info, Policy
from metta.policy.uri import CHECKPOINTS, list_versions, make_policy, run_folder
from metta.rl.environments import find_source
from metta.rl.machine import available_cores, set_up
from metta.rl.settings import EnvSettings, EvaluateConfig, PlayConfig, RunConfig, varied

SCHEMA_VERSION = 1
# Rows of the table; --format json has all metrics.
SHOWN = (
    "reward", "env_agent/heart.gained", "env_agent/junction.aligned_by_agent", "env_agent/junction.scrambled_by_agent",
    "env_collective/cogs/aligned.junction.held", "env_collective/clips/aligned.junction.held", "env_agent/death",
    "env_agent/aligner.gained", "env_agent/scrambler.gained", "env_agent/miner.gained", "env_agent/scout.gained",
    "env_agent/cell.visited", "env_agent/action.move.success", "env_agent/action.failed", "steps",
)  # fmt: skip


@dataclass(frozen=True)
class Played:
    """What an evaluation played and how it went; `description` is for the document."""

    uri: str
    name: str
    description: dict[str, Any]
    agents: int
    results: dict[str, Summary]
    agent_steps: int
    seconds: float


def contestants(config: EvaluateConfig | PlayConfig) -> tuple[str, Policy, Mission]:
    """URI, policy and mission of a job. The mission is the one that is named, else what the policy was trained on (or
    the default), with the configured changes.

    Raises:
        UserError: there is no such policy or mission, or the policy was not trained on the game.
    """
    uri = policy_name(config)
    saved = trained_on(uri, config.system.data_dir)
    if saved and saved.env.kind != "metta":
        raise UserError(f"{uri}: trained on {saved.env.name}, not on the game; only the evaluate recipe can play it")
    trained = saved.mission if saved else MissionSettings()
    mission = build_mission(varied(trained, config.mission) if config.mission else trained)
    return uri, _policy(config, uri, env_info(mission)), mission


def _policy(config: EvaluateConfig | PlayConfig, uri: str, info: Info) -> Policy:
    machine = config.system
    trust = {"trust_pickle": machine.trust_pickle, "trust_code": machine.trust_code}
    return make_policy(uri, info, machine.data_dir, set_up(machine), **trust)


def policy_name(config: EvaluateConfig | PlayConfig) -> str:
    """policy_uri, or the run, or the run that saved last."""
    return config.policy_uri or config.run or newest_run(Path(config.system.data_dir))


def newest_run(data_dir: Path) -> str:
    """The run whose checkpoint was saved last. Raises UserError when there is none."""
    folders = [folder for folder in data_dir.glob(f"*/{CHECKPOINTS}") if list_versions(folder.parent)]
    if not folders:
        raise UserError(f"nothing to play: no run in {data_dir} has a checkpoint; name a policy (policy_uri=random)")
    return max(folders, key=lambda folder: folder.stat().st_mtime).parent.name


def trained_on(uri: str, data_dir: str) -> RunConfig | None:
    """Settings of environment and mission of the run that a checkpoint belongs to; None for other policies."""
    folder = run_folder(uri, data_dir)
    if folder is None or not (tree := folder / "config.yaml").is_file():
        return None
    saved = yaml.safe_load(tree.read_text())
    return validated(RunConfig, {key: saved[key] for key in ("env", "mission") if key in saved}, str(tree))


def environment_of(uri: str, data_dir: str) -> EnvSettings:
    """What a policy was trained on. Raises UserError if that is code to import: a file alone must not start any."""
    saved = trained_on(uri, data_dir)
    env = saved.env if saved else EnvSettings()
    if env.imports:
        raise UserError(f"{uri}: to import what it was trained on, add env={env.kind} env.name={env.name}")
    return env


def summaries(episodes: list[Episode]) -> dict[str, Summary]:
    return {name: summarize(values) for name, values in metrics_by_name(episodes).items()}


def document(config: EvaluateConfig, played: Played) -> dict[str, Any]:
    """The JSON document of an evaluation. `reward` is the mean over agents of the episode return."""
    return {
        "schema_version": SCHEMA_VERSION,
        "policy_uri": played.uri,
        **played.description,
        "episodes": config.episodes,
        "seeds": list(range(config.seed, config.seed + config.episodes)),
        "metrics": {name: asdict(summary) for name, summary in played.results.items()},
    }


def table(played: Played, episodes: int) -> Table:
    """The best-known metrics, with 95 % intervals."""
    output = Table(title=f"{played.uri} on {played.name}: mean of {episodes} episodes, {played.agents} agents")
    output.add_column("metric")
    output.add_column("mean", justify="right")
    output.add_column("95 % interval", justify="right")
    for name in SHOWN:
        if name in played.results:
            low, high = played.results[name].ci95
            output.add_row(name, show(played.results[name].mean), f"{show(low)} … {show(high)}")
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
    uri = policy_name(config)
    env = config.env or environment_of(uri, config.system.data_dir)
    played = _play_mission(config) if env.kind == "metta" else _play_foreign(config, uri, env)
    if config.format == "json":
        print(json.dumps(document(config, played)))
        return 0
    Console().print(table(played, config.episodes))
    rate = played.agent_steps / played.seconds
    seeds = f"seeds {config.seed} to {config.seed + config.episodes - 1}"
    print(f"{seeds}, {played.seconds:.1f} s, {rate:,.0f} agent-steps/s")
    return 0


def _play_mission(config: EvaluateConfig) -> Played:
    uri, policy, mission = contestants(config)
    start = time.perf_counter()
    episodes = run_episodes(mission, policy, config.episodes, config.seed)
    return Played(
        uri=uri,
        name=mission.name,
        description={
            "mission": mission.name,
            "variants": mission.variants,
            "agents": mission.agents,
            "max_steps": mission.max_steps,
        },
        agents=mission.agents,
        results=summaries(episodes),
        agent_steps=config.episodes * mission.max_steps * mission.agents,
        seconds=time.perf_counter() - start,
    )


def _play_foreign(config: EvaluateConfig, uri: str, env: EnvSettings) -> Played:
    if config.mission is not None:
        raise UserError(f"mission: {env.name} has no missions")
    source = find_source(RunConfig(env=env))
    policy = _policy(config, uri, source.info)
    start = time.perf_counter()
    episodes = play_foreign(source, policy, config.episodes, config.seed)
    agents = source.info.num_agents
    return Played(
        uri=uri,
        name=source.label,
        description={"environment": env.model_dump(mode="json"), "agents": agents},
        agents=agents,
        results=foreign_summaries(episodes),
        agent_steps=sum(episode.steps for episode in episodes) * agents,
        seconds=time.perf_counter() - start,
    )
