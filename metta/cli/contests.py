"""Commands that measure policies: episodes without learning, many at once."""

from pathlib import Path
from typing import Annotated, Any

import typer

from metta.cli.jobs import Instead, instead
from metta.cli.options import (
    ActionTimeout,
    Cogs,
    Device,
    Difficulty,
    Episodes,
    FirstMapSeed,
    Missions,
    MissionSet,
    Output,
    Policies,
    Policy,
    Replays,
    Seed,
    Steps,
    TrustPickle,
    Variants,
    Workers,
)
from metta.cli.output import Format, as_text, show
from metta.common.errors import UserError
from metta.common.settings import validated

Kept = Annotated[Path | None, typer.Option(help="file that keeps every episode; the same command goes on from it")]
Report = Annotated[Path | None, typer.Option(help="write the result as a page (HTML)")]


def scrimmage(
    context: typer.Context,
    mission: Missions = None,
    mission_set: MissionSet = None,
    policy: Policy = "random",
    episodes: Episodes = 10,
    steps: Steps = None,
    variant: Variants = None,
    difficulty: Difficulty = None,
    cogs: Cogs = None,
    seed: Seed = 42,
    map_seed: FirstMapSeed = None,
    action_timeout_ms: ActionTimeout = 250,
    output: Output = Format.table,
    out: Kept = None,
    report: Report = None,
    save_replay_dir: Replays = None,
    device: Device = "auto",
    workers: Workers = None,
    trust_pickle: TrustPickle = False,
) -> int:
    """Play episodes with one policy for all cogs and report its metrics."""
    return run(
        context, mission, mission_set, [policy], episodes, steps, variant, difficulty, cogs, seed, map_seed,
        action_timeout_ms, output, out, report, save_replay_dir, device, workers, trust_pickle,
    )  # fmt: skip


def run(
    context: typer.Context,
    mission: Missions = None,
    mission_set: MissionSet = None,
    policy: Policies = None,
    episodes: Episodes = 10,
    steps: Steps = None,
    variant: Variants = None,
    difficulty: Difficulty = None,
    cogs: Cogs = None,
    seed: Seed = 42,
    map_seed: FirstMapSeed = None,
    action_timeout_ms: ActionTimeout = 250,
    output: Output = Format.table,
    out: Kept = None,
    report: Report = None,
    save_replay_dir: Replays = None,
    device: Device = "auto",
    workers: Workers = None,
    trust_pickle: TrustPickle = False,
) -> int:
    """Play episodes in which policies share the cogs by their proportions, and compare them."""
    if not policy:
        raise UserError("no policy is named: -p POLICY[,proportion=X], once for each (cogames policies lists them)")
    from metta.eval.contest import ContestSettings, resolve_missions, run_contest

    said = {
        "missions": mission or [], "mission_set": mission_set, "policies": policy, "episodes": episodes,
        "steps": steps, "variants": variant or [], "difficulty": difficulty, "cogs": cogs, "seed": seed,
        "map_seed": map_seed, "action_timeout_ms": action_timeout_ms, "out": out, "report": report,
        "save_replay_dir": save_replay_dir, "device": device, "workers": workers, "trust_pickle": trust_pickle,
    }  # fmt: skip
    settings = validated(ContestSettings, {key: value for key, value in said.items() if value is not None}, "")
    if instead(context) is Instead.print:
        print(as_text(Format.yaml, settings.model_dump(mode="json")))
        return 0
    if instead(context) is Instead.check:
        played = ", ".join(mission.name for mission in resolve_missions(settings))
        print(f"play {', '.join(policy)}: {episodes} episodes of {played}")
        return 0
    return _shown(run_contest(settings), output)


def _shown(result: Any, output: Format) -> int:
    """Print a result; what went wrong with policies goes to standard error."""
    from rich.console import Group

    from metta.common.logging import warn
    from metta.eval.tables import contest_tables

    for message in result.messages:
        warn(message)
    show(output, result.document(), lambda: Group(*contest_tables(result)))
    if output is Format.table and result.seconds:
        rate = result.agent_steps / result.seconds
        print(f"{result.agent_steps:,} agent-steps in {result.seconds:.1f} s: {rate:,.0f} per second")
    if result.interrupted:
        raise KeyboardInterrupt  # its exit code, after what there is to show
    return 0
