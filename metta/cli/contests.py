"""Commands that measure policies: episodes without learning, many at once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from metta.cli.jobs import Instead, instead
from metta.cli.options import (
    POLICY,
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
    Replays,
    Seed,
    Steps,
    TrustCode,
    TrustPickle,
    Variants,
    Workers,
    complete_mission,
    complete_policy,
)
from metta.cli.output import Format, show
from metta.common.commands import NEVER_ACTED
from metta.common.defaults import ACTION_TIMEOUT_MS, EPISODES, SEED
from metta.common.documents import as_text
from metta.common.errors import UserError
from metta.common.files import check_writable
from metta.common.settings import validated

if TYPE_CHECKING:
    from metta.eval.contest import ContestResult
    from metta.eval.settings import GamesSettings

    AnySettings = TypeVar("AnySettings", bound=GamesSettings)

SCRIMMAGE = "scrimmage"
Report = Annotated[Path | None, typer.Option(help="write the result as a page (HTML) with charts and its replays")]
Kept = Annotated[Path | None, typer.Option(help="file that keeps every episode; the same command goes on from it")]


def run(
    context: typer.Context,
    mission: Missions = None,
    mission_set: MissionSet = None,
    policy: Policies = None,
    episodes: Episodes = EPISODES,
    steps: Steps = None,
    variant: Variants = None,
    difficulty: Difficulty = None,
    cogs: Cogs = None,
    seed: Seed = SEED,
    map_seed: FirstMapSeed = None,
    action_timeout_ms: ActionTimeout = ACTION_TIMEOUT_MS,
    output: Output = Format.table,
    out: Kept = None,
    report: Report = None,
    save_replay_dir: Replays = None,
    device: Device = "auto",
    workers: Workers = None,
    trust_code: TrustCode = False,
    trust_pickle: TrustPickle = False,
) -> int:
    """Play episodes in which policies share the cogs by their proportions, and compare them."""
    if not policy:
        raise UserError("no policy is named: -p POLICY, in run once for each (cogames policies lists them)")
    if context.info_name == SCRIMMAGE and len(policy) > 1:
        raise UserError(f"scrimmage plays one policy, got {len(policy)}: cogames run plays several")
    from metta.eval.contest import run_contest
    from metta.eval.settings import ContestSettings

    settings = _settings(
        ContestSettings, missions=mission, mission_set=mission_set, policies=policy, episodes=episodes, steps=steps,
        variants=variant, difficulty=difficulty, cogs=cogs, seed=seed, map_seed=map_seed,
        action_timeout_ms=action_timeout_ms, out=out, save_replay_dir=save_replay_dir, report=report, device=device,
        workers=workers, trust_code=trust_code, trust_pickle=trust_pickle,
    )  # fmt: skip
    if _told(context, settings):
        return 0
    from metta.view.report.page import check_report, write_report

    if report:
        check_report(report)
    result = run_contest(settings)
    if report:
        write_report(result, report, settings.replays)
        typer.echo(f"wrote {report}", err=output is not Format.table)
    return _show(result, output, result.document(), lambda: _tables(result))


def pickup(
    context: typer.Context,
    policy: Annotated[str, typer.Option("-p", "--policy", help=POLICY, autocompletion=complete_policy)],
    pool: Annotated[
        list[str], typer.Option(help="who else can have the places (repeatable)", autocompletion=complete_policy)
    ],
    mission: Annotated[
        str, typer.Option("-m", "--mission", help="what is played", autocompletion=complete_mission)
    ] = "cogsguard_machina_1.basic",
    cogs: Annotated[int, typer.Option("-c", "--cogs", help="number of cogs", min=1)] = 4,
    episodes: Episodes = EPISODES,
    steps: Annotated[int, typer.Option("-s", "--steps", help="steps per episode", min=1)] = 1000,
    variant: Variants = None,
    difficulty: Difficulty = None,
    seed: Seed = SEED,
    map_seed: FirstMapSeed = None,
    action_timeout_ms: ActionTimeout = ACTION_TIMEOUT_MS,
    output: Output = Format.table,
    out: Kept = None,
    save_replay_dir: Replays = None,
    device: Device = "auto",
    workers: Workers = None,
    trust_code: TrustCode = False,
    trust_pickle: TrustPickle = False,
) -> int:
    """Value over replacement: what a policy adds to teams that are drawn from a pool."""
    from metta.eval.replacement import run_pickup
    from metta.eval.settings import ContestSettings

    settings = _settings(
        ContestSettings, missions=[mission], policies=[policy], episodes=episodes, steps=steps, variants=variant,
        difficulty=difficulty, cogs=cogs, seed=seed, map_seed=map_seed, action_timeout_ms=action_timeout_ms, out=out,
        save_replay_dir=save_replay_dir, device=device, workers=workers, trust_code=trust_code,
        trust_pickle=trust_pickle,
    )  # fmt: skip
    if _told(context, settings, pool):
        return 0
    result = run_pickup(settings, pool)
    return _show(result.contest, output, result.document(), result.table)


def diagnose(
    context: typer.Context,
    policy: Annotated[str, typer.Argument(help=POLICY, autocompletion=complete_policy)],
    mission_set: MissionSet = "cogsguard_evals",
    experiments: Annotated[
        list[str] | None,
        typer.Option(help="only this mission of the set (repeatable)", autocompletion=complete_mission),
    ] = None,
    cogs: Cogs = None,
    steps: Annotated[int, typer.Option("-s", "--steps", help="steps per episode", min=1)] = 1000,
    episodes: Episodes = EPISODES,
    baseline: Annotated[
        str | None,
        typer.Option("--scripted-baseline-policy", help="to be better than", autocompletion=complete_policy),
    ] = "baseline",
    strong: Annotated[
        str | None, typer.Option("--known-strong-policy", help="to come near to", autocompletion=complete_policy)
    ] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare-run-dir", help="folder that an earlier diagnosis wrote")
    ] = None,
    reruns: Annotated[
        int, typer.Option("--stability-reruns", help="more runs, on other seeds, to see the spread of means", min=0)
    ] = 0,
    output_dir: Annotated[Path | None, typer.Option(help="folder for the result and its plot")] = None,
    seed: Seed = SEED,
    action_timeout_ms: ActionTimeout = ACTION_TIMEOUT_MS,
    output: Output = Format.table,
    out: Kept = None,
    device: Device = "auto",
    workers: Workers = None,
    trust_code: TrustCode = False,
    trust_pickle: TrustPickle = False,
) -> int:
    """Play an evaluation set and compare with a baseline, a strong policy, an earlier diagnosis."""
    from metta.eval.diagnose import DiagnoseSettings, run_diagnose

    settings = _settings(
        DiagnoseSettings, mission_set=mission_set, experiments=experiments, policies=[policy], episodes=episodes,
        steps=steps, cogs=cogs, seed=seed, baseline=baseline or None, strong=strong, compare=compare, reruns=reruns,
        output_dir=output_dir, action_timeout_ms=action_timeout_ms, out=out, device=device, workers=workers,
        trust_code=trust_code, trust_pickle=trust_pickle,
    )  # fmt: skip
    if _told(context, settings, [name for name in (settings.baseline, settings.strong) if name]):
        return 0
    result = run_diagnose(settings)
    code = _show(result.contest, output, result.document(), result.table)
    if output_dir:
        paths = ", ".join(map(str, result.save(output_dir)))
        typer.echo(f"wrote {paths}", err=output is not Format.table)
    return code


def _settings(model: "type[AnySettings]", **said: Any) -> "AnySettings":
    """Settings of what is given; the rest has the defaults of the model. Raises UserError for a bad value."""
    return validated(model, {key: value for key, value in said.items() if value is not None}, "")


def _told(context: typer.Context, settings: "GamesSettings", others: Sequence[str] = ()) -> bool:
    """Under --dry-run or --cfg: check the settings, and policies that play beside, and print them in place of
    playing."""
    from metta.eval.contest import check_contest, resolve_missions

    if instead(context) is Instead.print:
        print(as_text("yaml", settings.model_dump(mode="json")))
    elif instead(context) is Instead.check:
        check_contest(settings, others)
        for key in ("out", "report", "save_replay_dir", "output_dir"):
            if path := getattr(settings, key, None):
                check_writable(path, f"--{key.replace('_', '-')}")
        played = ", ".join(mission.name for mission in resolve_missions(settings))
        print(f"{context.info_name} {', '.join(settings.policies)}: {settings.episodes} episodes of {played}")
    return instead(context) is not None


def _tables(result: "ContestResult") -> Any:
    from rich.console import Group

    from metta.eval.tables import contest_tables

    return Group(*contest_tables(result))


def _show(contest: "ContestResult", output: Format, document: dict[str, Any], as_table: Callable[[], Any]) -> int:
    """Print a result; returns the exit code, 1 where a policy never acted. Raises KeyboardInterrupt, after what there
    is to show, where it is a part only."""
    from metta.common.logging import warn

    for message in [*contest.messages, *contest.never_acted]:
        warn(message)
    over = sum(result.episodes for result in contest.matches)
    if contest.interrupted:
        warn(f"{over or 'none'} of {contest.episodes} episodes were over" + (": what they say so far" if over else ""))
    if over or output is not Format.table:
        show(output, document, as_table)
    if output is Format.table and contest.seconds:
        rate = contest.agent_steps / contest.seconds
        print(f"{contest.agent_steps:,} agent-steps in {contest.seconds:.1f} s: {rate:,.0f} per second")
    if contest.interrupted:
        raise KeyboardInterrupt
    return NEVER_ACTED if contest.never_acted else 0
