"""Evaluate a policy: episodes on maps of fixed seeds, every metric with its interval."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from metta.common.commands import NEVER_ACTED
from metta.common.defaults import TEAM
from metta.common.documents import as_text, read_yaml
from metta.common.errors import UserError
from metta.common.logging import warn
from metta.common.settings import validated
from metta.eval.contest import make_match, play_contest, prepare
from metta.eval.entries import Entry
from metta.eval.settings import EvaluateConfig, PlayConfig, PlayerConfig
from metta.eval.statistics import Summary, as_cells, interval_head
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.hosted.by_class import is_class
from metta.policy.hosted.client import HostedPolicy
from metta.policy.hosted.process import Hosting
from metta.policy.interface import Info, Policy
from metta.policy.stored.uri import CHECKPOINTS, is_built_in, list_versions, make_policy, run_folder
from metta.rl.experience.settings import EnvSettings
from metta.rl.run.run_folder import CONFIG, MOST_CONFIG_BYTES
from metta.rl.settings import RunConfig, varied

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
    seeds: list[int]  # of the episodes; fewer than asked for after Ctrl-C
    agent_steps: int
    seconds: float
    messages: list[str]  # what went wrong with the policy
    acted: bool = True


def contestants(config: PlayerConfig) -> tuple[str, Policy, Mission]:
    """What plays (of a net its version, else the URI), policy and mission of a job. The mission is the named one,
    else what the policy was trained on (or the default), with the configured changes.

    Raises:
        UserError: there is no such policy or mission, or the policy was not trained on the game.
    """
    uri = policy_name(config)
    mission = mission_of(config, uri)
    policy = _policy(config, uri, env_info(mission))
    return uri if is_built_in(uri) or isinstance(policy, HostedPolicy) else policy.name, policy, mission


def mission_of(config: PlayerConfig, uri: str) -> Mission:
    """The mission of a job with that policy. Raises UserError if there is none such or the policy is of no game."""
    saved = trained_on(uri, config.system.data_dir)
    if saved and saved.env.kind != "metta":
        raise UserError(f"{uri}: trained on {saved.env.name}, not on the game; only the evaluate recipe can play it")
    trained = saved.mission if saved else MissionSettings()
    return build_mission(varied(trained, config.mission) if config.mission else trained)


def _policy(config: PlayerConfig, uri: str, info: Info) -> Policy:
    machine = config.system
    trust = {"trust_pickle": machine.trust_pickle, "trust_code": machine.trust_code}
    hosting = Hosting(machine.action_timeout_ms)
    if is_built_in(uri):
        return make_policy(uri, info, machine.data_dir)
    from metta.rl.machine import set_up  # here because torch is slow to import

    return make_policy(uri, info, machine.data_dir, set_up(machine, 1), hosting=hosting, **trust)


def policy_name(config: PlayerConfig) -> str:
    """policy_uri, or the run, or the run that saved last; to watch, a scripted team where there is none. Raises
    UserError for a run that would name a class, and where there is nothing to evaluate."""
    data_dir = config.system.data_dir
    if not config.policy_uri and config.run and is_class(config.run, data_dir):
        raise UserError(f"run={config.run}: there is no such run in {data_dir}")
    if named := config.policy_uri or config.run or newest_run(Path(data_dir)):
        return named
    if isinstance(config, PlayConfig):
        return TEAM
    raise UserError(f"nothing to play: no run in {data_dir} has a checkpoint; name a policy (policy_uri=random)")


def newest_run(data_dir: Path) -> str | None:
    """The run whose checkpoint was saved last."""
    folders = [folder for folder in data_dir.glob(f"*/{CHECKPOINTS}") if list_versions(folder.parent)]
    return max(folders, key=lambda folder: folder.stat().st_mtime).parent.name if folders else None


def trained_on(uri: str, data_dir: str) -> RunConfig | None:
    """Settings of environment and mission of the run that a checkpoint belongs to; None for other policies, and for a
    run that says nothing of them.

    Raises:
        UserError: the run's settings are damaged; what it was trained on is not to be guessed.
    """
    folder = run_folder(uri, data_dir)
    if folder is None or not (tree := folder / CONFIG).exists():
        return None
    try:
        saved = read_yaml(tree, MOST_CONFIG_BYTES)
        parts = {key: saved[key] for key in ("env", "mission") if key in saved}
        if not parts:
            raise UserError(f"{tree}: names no mission, as the settings of a run do")
        return validated(RunConfig, parts, f"{tree}:")
    except UserError as error:
        raise UserError(f"{error}; mend the file, or remove it and say what to play: mission=NAME") from None


def environment_of(uri: str, data_dir: str) -> EnvSettings:
    """What a policy was trained on. Raises UserError if that is code to import: a file alone must not start any."""
    saved = trained_on(uri, data_dir)
    env = saved.env if saved else EnvSettings()
    if env.imports:
        raise UserError(f"{uri}: to import what it was trained on, add env={env.kind} env.name={env.name}")
    return env


def document(played: Played) -> dict[str, Any]:
    """The JSON document of an evaluation. `reward` is the mean over agents of the episode return."""
    return {
        "schema_version": SCHEMA_VERSION,
        "policy_uri": played.uri,
        **played.description,
        "episodes": len(played.seeds),
        "seeds": played.seeds,
        "metrics": {name: asdict(summary) for name, summary in played.results.items()},
    }


def table(played: Played) -> Table:
    """The best-known metrics, with 95 % intervals."""
    title = f"{played.uri} on {played.name}: mean of {len(played.seeds)} episodes, {played.agents} agents"
    output = Table(title=title)
    output.add_column("metric")
    output.add_column("mean", justify="right")
    output.add_column(interval_head(len(played.seeds)), justify="right")
    for name in SHOWN:
        if name in played.results:
            output.add_row(name, *as_cells(played.results[name]))
    return output


def play(config: EvaluateConfig) -> Played:
    """Play the episodes of the job. Raises UserError for bad input."""
    uri = policy_name(config)
    env = config.env or environment_of(uri, config.system.data_dir)
    return _play_mission(config) if env.kind == "metta" else _play_foreign(config, uri, env)


def evaluate(config: EvaluateConfig) -> int:
    """Run the job and print its result. Raises UserError for bad input."""
    played = play(config)
    code = show(config, played)
    if len(played.seeds) < config.episodes:
        raise KeyboardInterrupt  # its exit code, after what there is to show
    return code


def show(config: EvaluateConfig, played: Played) -> int:
    """Print what was played: a table, or one JSON document. Returns the job's exit code."""
    for message in played.messages:
        warn(message)
    if config.format != "table":
        print(as_text(config.format, document(played)))
    else:
        Console().print(table(played))
        rate = played.agent_steps / played.seconds
        seeds = f"seeds {played.seeds[0]} to {played.seeds[-1]}"
        print(f"{seeds}, {played.seconds:.1f} s, {rate:,.0f} agent-steps/s")
    return 0 if played.acted else NEVER_ACTED


def _play_mission(config: EvaluateConfig) -> Played:
    uri = policy_name(config)
    mission = mission_of(config, uri)
    line_up = prepare(config.system)
    match = make_match(line_up, mission, [Entry(uri)], config.episodes, config.seed)
    contest = play_contest([match], line_up, config.system, Path(config.out) if config.out else None)
    if not contest.matches:
        raise KeyboardInterrupt
    result = contest.matches[0]
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
        results=result.metrics(),
        seeds=[row.seed for row in result.rows],
        agent_steps=contest.agent_steps,
        seconds=contest.seconds,
        messages=[*contest.messages, *contest.never_acted],
        acted=not contest.never_acted,
    )


def _play_foreign(config: EvaluateConfig, uri: str, env: EnvSettings) -> Played:
    from metta.eval.foreign import foreign_summaries, play_foreign  # here because torch is slow to import

    if config.mission is not None:
        raise UserError(f"mission: {env.name} has no missions")
    from metta.rl.experience.external import Foreign  # here because only such runs need the libraries

    source = Foreign(env, None)
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
        seeds=list(range(config.seed, config.seed + config.episodes)),
        agent_steps=sum(episode.steps for episode in episodes) * agents,
        seconds=time.perf_counter() - start,
        messages=[],
    )
