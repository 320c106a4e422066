"""The command that trains: words of the training recipe, nothing else."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from metta.cli.jobs import mission_words, run_recipe
from metta.cli.options import Cogs, Device, Difficulty, MapSeed, Missions, Seed, Variants, complete_network
from metta.common.defaults import MISSION, SEED
from metta.common.errors import UserError, suggest


def train(
    context: typer.Context,
    mission: Missions = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "-p",
            "--policy",
            help="network: NAME or class=NAME[,data=FILE][,kw.ARG=VALUE]; default: the recipe's",
            autocompletion=complete_network,
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="agent-steps to train for; default: the recipe's", min=1)] = None,
    batch_size: Annotated[int | None, typer.Option(help="agent-steps per epoch; default: the recipe's")] = None,
    minibatch_size: Annotated[
        int | None, typer.Option(help="agent-steps per gradient step; default: the recipe's")
    ] = None,
    variant: Variants = None,
    difficulty: Difficulty = None,
    cogs: Cogs = None,
    num_workers: Annotated[int | None, typer.Option(help="engine threads; default: all cores")] = None,
    parallel_envs: Annotated[int | None, typer.Option(help="environments; default: as the batch size needs")] = None,
    vector_batch_size: Annotated[
        int | None, typer.Option(help="environments that step at once: here always all of them")
    ] = None,
    nproc: Annotated[
        str | None, typer.Option(help="processes of this machine that train together: a number, gpu or auto")
    ] = None,
    run: Annotated[str | None, typer.Option(help="name of the run; default: user, recipe and time")] = None,
    checkpoints: Annotated[str, typer.Option(help="folder that holds the runs")] = "./train_dir",
    log_outputs: Annotated[bool, typer.Option("--log-outputs", help="plain lines in place of a live table")] = False,
    seed: Seed = SEED,
    map_seed: MapSeed = None,
    device: Device = "auto",
) -> int:
    """Train a policy; several missions are trained on in turn."""
    if parallel_envs is not None and vector_batch_size not in (None, parallel_envs):
        raise UserError(f"--vector-batch-size={vector_batch_size}: all --parallel-envs={parallel_envs} step at once")
    words = _network(policy) | {
        "run": run, "trainer.batch_size": batch_size, "trainer.minibatch_size": minibatch_size,
        "training_env.num_workers": num_workers, "training_env.num_envs": parallel_envs or vector_batch_size,
        "system.data_dir": checkpoints, "system.log_outputs": log_outputs, "seed": seed, "device": device,
        "system.nproc": nproc,
    }  # fmt: skip
    words |= _missions(mission or [MISSION], steps, variant, difficulty, cogs, map_seed)
    return run_recipe(context, "cogsguard.train", words)


def _network(policy: str | None) -> dict[str, object]:
    """The network, the weights it starts with and its settings, as words. Raises UserError for another form."""
    if policy is None:
        return {}
    from metta.policy.nets.earlier import CLASSES
    from metta.policy.nets.presets import preset_names

    given, *parts = policy.removeprefix("class=").split(",")
    names = preset_names()
    name = CLASSES.get(given.rpartition(".")[2], given)
    if name not in names:
        raise UserError(f"-p {policy}: no network '{given}'{suggest(given, names)}; there are: {', '.join(names)}")
    words: dict[str, object] = {"agent": name}
    for part in parts:
        key, _, value = part.partition("=")
        if key == "data" and value:
            words["init_from"] = value
        elif key.startswith("kw.") and value:
            words[f"agent.{key.removeprefix('kw.')}"] = value
        else:
            raise UserError(f"-p {policy}: cannot read '{part}'; the form is class=NAME[,data=FILE][,kw.ARG=VALUE]")
    return words


def _missions(
    names: Sequence[str],
    steps: int | None,
    variants: Sequence[str] | None,
    difficulty: str | None,
    cogs: int | None,
    map_seed: int | None,
) -> dict[str, object]:
    """One mission, or a phase of equal length for each of several."""
    from metta.game.mission_files import is_mission_file
    from metta.game.missions import missions_like

    found = list(dict.fromkeys(full for name in names for full in missions_like(name)))
    changes = mission_words(found[0], variants, difficulty, cogs, map_seed)
    if len(found) == 1:
        return changes | {"trainer.total_timesteps": steps}
    if steps is None:
        from metta.rl.learning.settings import TrainerSettings

        steps = TrainerSettings().total_timesteps
    words: dict[str, object] = {}
    for index, name in enumerate(found):
        label = re.sub(r"\W+", "_", Path(name).stem if is_mission_file(name) else name)
        phase = f"phases.phase{index + 1}_{label}"
        words[f"{phase}.mission.name"] = name
        words |= {f"{phase}.{key}": value for key, value in changes.items() if key != "mission"}
        words[f"{phase}.total_timesteps"] = max(1, steps // len(found))
    return words
