"""The `cogames` command: the usual jobs under short flags. Every command becomes the words of a recipe."""

from importlib.metadata import version as package_version
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=True, help="Play, train and evaluate CoGsGuard policies.")

MissionName = Annotated[str, typer.Option("-m", "--mission", help="site.mission, or a bare name")]
PolicyName = Annotated[str, typer.Option("-p", "--policy", help="name, checkpoint folder or metta:// URI")]
Variants = Annotated[list[str] | None, typer.Option("-v", "--variant", help="variant of the mission (repeatable)")]
Difficulty = Annotated[str | None, typer.Option(help="easy, medium or hard")]
Cogs = Annotated[int | None, typer.Option("-c", "--cogs", help="number of cogs; default: the mission's")]
Steps = Annotated[int | None, typer.Option("-s", "--steps", help="steps per episode; default: the mission's")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]


def _mission_words(mission: str, variants: list[str] | None, difficulty: str | None, cogs: int | None) -> list[str]:
    return [
        f"mission={mission}",
        *([f"mission.variants=[{','.join(variants)}]"] if variants else []),
        *([f"mission.difficulty={difficulty}"] if difficulty else []),
        *([f"mission.cogs={cogs}"] if cogs else []),
    ]


def _policy(name: str) -> str:
    """`class=NAME` and NAME mean the same."""
    return name.removeprefix("class=")


def _run(*words: str) -> None:
    from metta.config.runner import run

    raise typer.Exit(run(words))


@app.command()
def play(
    mission: MissionName = "cogsguard_arena.basic",
    policy: PolicyName = "noop",
    variant: Variants = None,
    difficulty: Difficulty = None,
    cogs: Cogs = None,
    steps: Steps = None,
    render: Annotated[str, typer.Option("-r", "--render", help="unicode or log")] = "unicode",
    seed: Annotated[int, typer.Option(help="seed of map and episode")] = 42,
    device: Device = "auto",
) -> None:
    """Watch one episode."""
    words = _mission_words(mission, variant, difficulty, cogs)
    words += [f"max_steps={steps}"] if steps else []
    _run(
        "cogsguard.play",
        f"policy_uri={_policy(policy)}",
        f"render={render}",
        f"seed={seed}",
        f"device={device}",
        *words,
    )


@app.command()
def train(
    mission: MissionName = "cogsguard_arena.basic",
    policy: PolicyName = "lstm",
    steps: Annotated[int, typer.Option(help="agent-steps to train for")] = 10_000_000_000,
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
    words = _mission_words(mission, variant, difficulty, cogs)
    words += [f"run={run}"] if run else []
    words += [f"trainer.batch_size={batch_size}"] if batch_size else []
    words += [f"trainer.minibatch_size={minibatch_size}"] if minibatch_size else []
    words += [f"trainer.total_timesteps={steps}", f"system.data_dir={checkpoints}", f"seed={seed}", f"device={device}"]
    _run("cogsguard.train", f"agent={_policy(policy)}", *words)


@app.command()
def scrimmage(
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
) -> None:
    """Play episodes with one policy for all cogs and report its metrics."""
    words = _mission_words(mission, variant, difficulty, cogs)
    words += [f"max_steps={steps}"] if steps else []
    words += [f"episodes={episodes}", f"seed={seed}", f"format={output}", f"device={device}"]
    _run("cogsguard.evaluate", f"policy_uri={_policy(policy)}", *words)


@app.command()
def missions(site: Annotated[str | None, typer.Argument(help="only the missions of this site")] = None) -> None:
    """List the missions."""
    from metta.game.missions import MISSIONS

    for name, build in MISSIONS.items():
        if site is None or name.startswith(site):
            mission = build()
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

    typer.echo(f"to play:  {', '.join(sorted(BUILT_IN))}, and any checkpoint (./train_dir/NAME:v5)")
    typer.echo(f"to train: {', '.join(net_names())}")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(package_version("metta"))


def main() -> None:
    app()
