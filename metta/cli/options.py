"""Options that several commands share, with the names that the shell completes."""

from collections.abc import Iterable
from glob import glob
from pathlib import Path
from typing import Annotated

import typer

from metta.cli.output import Format


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def _paths(incomplete: str) -> list[str]:
    """Files and folders, where what is typed looks like one."""
    return sorted(glob(f"{incomplete}*")) if "/" in incomplete or incomplete.startswith(".") else []


def complete_mission(incomplete: str) -> list[str]:
    from metta.game.missions import mission_names

    return _starting(incomplete, mission_names()) or _paths(incomplete)


def complete_site(incomplete: str) -> list[str]:
    from metta.game.missions import mission_sites

    return _starting(incomplete, mission_sites())


def complete_set(incomplete: str) -> list[str]:
    from metta.game.missions import mission_sets

    return _starting(incomplete, mission_sets())


def complete_variant(incomplete: str) -> list[str]:
    from metta.game.variants import VARIANTS

    return _starting(incomplete, VARIANTS)


def complete_policy(incomplete: str) -> list[str]:
    from metta.cli.policies import players

    return _starting(incomplete, players()) or _paths(incomplete)


def complete_network(incomplete: str) -> list[str]:
    from metta.cli.policies import networks

    return _starting(incomplete, networks())


def _levels() -> list[str]:
    return ["easy", "medium", "hard"]


MISSION = "site.mission, a bare site or mission, or a file"
POLICY = "name, class=…, checkpoint, bundle, or metta://, s3://, wandb://"
Mission = Annotated[str | None, typer.Option("-m", "--mission", help=MISSION, autocompletion=complete_mission)]
Missions = Annotated[
    list[str] | None,
    typer.Option("-m", "--mission", help=f"{MISSION}; or a wildcard (repeatable)", autocompletion=complete_mission),
]
MissionSet = Annotated[
    str | None, typer.Option("-S", "--mission-set", help="evaluation set", autocompletion=complete_set)
]
Policy = Annotated[str, typer.Option("-p", "--policy", help=POLICY, autocompletion=complete_policy)]
Policies = Annotated[
    list[str] | None,
    typer.Option(
        "-p",
        "--policy",
        help=f"{POLICY}; in run with ,proportion=X and ,team=NAME, repeatable",
        autocompletion=complete_policy,
    ),
]
Variants = Annotated[
    list[str] | None,
    typer.Option("-v", "--variant", help="variant of the mission (repeatable)", autocompletion=complete_variant),
]
Difficulty = Annotated[str | None, typer.Option(help="easy, medium or hard", autocompletion=_levels)]
Cogs = Annotated[int | None, typer.Option("-c", "--cogs", help="number of cogs; default: the mission's")]
Steps = Annotated[int | None, typer.Option("-s", "--steps", help="steps per episode; default: the mission's")]
Episodes = Annotated[int, typer.Option("-e", "--episodes", help="episodes of each mission", min=1)]
Seed = Annotated[int, typer.Option(help="seed of everything random", min=0)]
MapSeed = Annotated[int | None, typer.Option(help="one map, of this seed, in all episodes", min=0)]
FirstMapSeed = Annotated[int | None, typer.Option("--map-seed", help="seed of the first map; default: --seed", min=0)]
InitKwarg = Annotated[
    list[str] | None, typer.Option("-k", "--init-kwarg", help="key=value for the policy's class (repeatable)")
]
IncludeFiles = Annotated[
    list[Path] | None, typer.Option("-f", "--include-files", help="file or folder to add (repeatable)")
]
SetupScript = Annotated[Path | None, typer.Option(help="script that is run before the policy is loaded")]
Checkpoints = Annotated[Path, typer.Option(help="folder that holds the runs")]
CHECKPOINTS = Path("./train_dir")
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]
TrustPickle = Annotated[bool, typer.Option("--trust-pickle", help="open policy files that run code; only your own")]
TrustCode = Annotated[bool, typer.Option("--trust-code", help="run the code that bundles hold; only your own")]
ActionTimeout = Annotated[
    int, typer.Option("--action-timeout-ms", help="time for one action of a policy's own code", min=1)
]
Workers = Annotated[int | None, typer.Option(help="threads that play; default: all cores", min=1)]
Replays = Annotated[
    Path | None, typer.Option("--save-replay-dir", "--replay", help="folder for replays of the episodes")
]
Output = Annotated[Format, typer.Option("--format", help="how the result is printed")]
