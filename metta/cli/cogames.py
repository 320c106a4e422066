"""The `cogames` command: the usual jobs under short flags. Every command becomes the words of a recipe."""

import sys
from importlib.metadata import version as package_version
from typing import Annotated

import typer

from metta.common.errors import UserError, suggest

app = typer.Typer(pretty_exceptions_enable=False, help="Play, train and evaluate CoGsGuard policies.")
# The base of what typer raises for bad usage: click's, or that of typer's own copy of click, by version.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

MissionName = Annotated[str, typer.Option("-m", "--mission", help="site.mission, bare site, bare mission or file")]
PolicyName = Annotated[str, typer.Option("-p", "--policy", help="name, checkpoint, file, or metta://, s3://, wandb://")]
TrustPickle = Annotated[bool, typer.Option("--trust-pickle", help="open policy files that run code; only your own")]
Variants = Annotated[list[str] | None, typer.Option("-v", "--variant", help="variant of the mission (repeatable)")]
Difficulty = Annotated[str | None, typer.Option(help="easy, medium or hard")]
Cogs = Annotated[int | None, typer.Option("-c", "--cogs", help="number of cogs; default: the mission's")]
Steps = Annotated[int | None, typer.Option("-s", "--steps", help="steps per episode; default: the mission's")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]


@app.callback()
def options(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="compose and check the job, start nothing")] = False,
) -> None:
    context.obj = ["--dry-run"] if dry_run else []


def _run(context: typer.Context, recipe: str, variant: list[str] | None, **values: str | int | None) -> None:
    """Run a recipe with a word for each value that is given; `__` in a name stands for a dot."""
    from metta.config.runner import run

    given = {key.replace("__", "."): value for key, value in values.items() if value is not None}
    words = [f"{key}={value}" for key, value in given.items()]
    variants = [f"mission.variants=[{','.join(variant)}]"] if variant else []
    raise typer.Exit(run([recipe, *words, *variants, *context.obj]))


@app.command()
def play(
    context: typer.Context,
    mission: MissionName = "cogsguard_arena.basic",
    policy: PolicyName = "noop",
    variant: Variants = None,
    difficulty: Difficulty = None,
    cogs: Cogs = None,
    steps: Steps = None,
    render: Annotated[str, typer.Option("-r", "--render", help="unicode or log")] = "unicode",
    seed: Annotated[int, typer.Option(help="seed of map and episode")] = 42,
    device: Device = "auto",
    trust_pickle: TrustPickle = False,
) -> None:
    """Watch one episode."""
    _run(
        context, "cogsguard.play", variant, policy_uri=policy, mission=mission, mission__difficulty=difficulty,
        mission__cogs=cogs, max_steps=steps, render=render, seed=seed, device=device, trust_pickle=trust_pickle or None,
    )  # fmt: skip


@app.command()
def train(
    context: typer.Context,
    mission: MissionName = "cogsguard_arena.basic",
    policy: Annotated[str, typer.Option("-p", "--policy", help="network to train")] = "lstm",
    steps: Annotated[int | None, typer.Option(help="agent-steps to train for; default: the recipe's")] = None,
    batch_size: Annotated[int | None, typer.Option(help="agent-steps per epoch")] = None,
    minibatch_size: Annotated[int | None, typer.Option(help="agent-steps per gradient step")] = None,
    variant: Variants = None,
    difficulty: Difficulty = None,
    cogs: Cogs = None,
    run: Annotated[str | None, typer.Option(help="name of the run; default: user, recipe and time")] = None,
    checkpoints: Annotated[str, typer.Option(help="folder that holds the runs")] = "./train_dir",
    seed: Annotated[int, typer.Option(help="seed of everything random")] = 42,
    device: Device = "auto",
) -> None:
    """Train a policy."""
    agent = policy.removeprefix("class=")
    _run(
        context, "cogsguard.train", variant, agent=agent, mission=mission, mission__difficulty=difficulty,
        mission__cogs=cogs, run=run, trainer__total_timesteps=steps, trainer__batch_size=batch_size,
        trainer__minibatch_size=minibatch_size, system__data_dir=checkpoints, seed=seed, device=device,
    )  # fmt: skip


@app.command()
def scrimmage(
    context: typer.Context,
    mission: MissionName = "cogsguard_arena.basic",
    policy: PolicyName = "random",
    episodes: Annotated[int, typer.Option("-e", "--episodes", help="episodes to play")] = 10,
    variant: Variants = None,
    difficulty: Difficulty = None,
    cogs: Cogs = None,
    steps: Steps = None,
    seed: Annotated[int, typer.Option(help="seed of the first episode")] = 42,
    output: Annotated[str, typer.Option("--format", help="table or json")] = "table",
    device: Device = "auto",
    trust_pickle: TrustPickle = False,
) -> None:
    """Play episodes with one policy for all cogs and report its metrics."""
    _run(
        context, "cogsguard.evaluate", variant, policy_uri=policy, mission=mission, mission__difficulty=difficulty,
        mission__cogs=cogs, max_steps=steps, episodes=episodes, seed=seed, format=output, device=device,
        trust_pickle=trust_pickle or None,
    )  # fmt: skip


@app.command()
def missions(site: Annotated[str | None, typer.Argument(help="only the missions of this site")] = None) -> None:
    """List the missions."""
    from metta.game.missions import load_mission, mission_names

    sites = {name.split(".")[0] for name in mission_names()}
    if site and site not in sites:
        raise UserError(f"unknown site '{site}'{suggest(site, sites)}; there are: {', '.join(sorted(sites))}")
    for name in mission_names():
        if not site or name.startswith(f"{site}."):
            mission = load_mission(name)
            typer.echo(f"{name:38} {mission.agents:2} cogs {mission.max_steps:6} steps  {mission.description}")


@app.command()
def variants() -> None:
    """List the variants."""
    from metta.game.variants import VARIANTS

    for name, (text, _) in sorted(VARIANTS.items()):
        typer.echo(f"{name:26} {text}")


@app.command()
def policies() -> None:
    """List the policies that play without a checkpoint, and the networks that can be trained."""
    from metta.policy.nets.registry import net_names
    from metta.policy.uri import BUILT_IN

    typer.echo(f"to play:  {', '.join(sorted(BUILT_IN))}, and any checkpoint (./train_dir/NAME:v5, s3://, wandb://)")
    typer.echo(f"to train: {', '.join(net_names())}")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(package_version("metta"))


def main() -> None:
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except (UserError, UsageError) as error:
        print(f"error: {getattr(error, 'format_message', error.__str__)()}", file=sys.stderr)
        sys.exit(2)
