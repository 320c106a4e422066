"""From a recipe and words to a typed job: groups, experiment files and saved runs laid over the defaults."""

import getpass
import itertools
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from metta.common.documents import read_yaml
from metta.common.errors import UserError
from metta.common.ranks import find_place
from metta.config.files import EXPERIMENTS, Folders
from metta.config.job import Config, Job, Kind, kind_of
from metta.config.layers import Layer, Source, base_layers, experiment_layers, stack
from metta.config.recipes import Recipe
from metta.config.tree import Tree, option_layers, picks_option
from metta.config.trust import check_typed
from metta.config.words import MOST_VALUES, SEARCH_PATH, Word, search_path, varied
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission, inlined
from metta.game.observation import EnvInfo, env_info
from metta.policy.nets.components.user import allow
from metta.policy.nets.wiring import wire
from metta.rl.run.run_folder import MOST_CONFIG_BYTES
from metta.rl.settings import RunConfig
from metta.rl.sizes import batch_shape

if TYPE_CHECKING:
    from metta.policy.interface import Info


@dataclass
class Composed:
    """A job ready to run. `tree` says who set what, `layers` are those that it is made of in their order, which
    come from `folders`, `placed` says where each word went, `made_up` is how a run is called that nobody has named."""

    kind: Kind
    config: Config
    tree: Tree
    layers: list[Layer]
    folders: Folders
    placed: list[str] = field(default_factory=list)
    made_up: str | None = None


def compose(recipe: Recipe | None, words: Sequence[Word], suffix: str = "") -> Composed:
    """Compose the job of a recipe, or without one the job of the experiment that `user=` names."""
    experiment, placed, rest = _experiments(words)
    if recipe is None:
        (job, source), stem = _job_of(experiment), "experiment"
    else:
        arguments = [word for word in rest if word.key in recipe.parameters]
        placed += [f"{word.text}: parameter {word.key} of {recipe.name}" for word in arguments]
        rest = [word for word in rest if word not in arguments]
        job, source, stem = recipe.job(arguments), Source(f"the recipe {recipe.name}", "recipe"), recipe.short
    kind = kind_of(job.cmd, source)
    batches = [base_layers(job.cmd), [Layer(source, job.settings)], experiment]
    return _compose(kind, batches, rest, placed, stem, suffix)


def compose_saved(folder: str, words: Sequence[Word], suffix: str = "") -> Composed:
    """Compose the job that a run folder saved, under a new name beside it unless a word names one."""
    path = _saved_config(folder)
    values = read_yaml(path, MOST_CONFIG_BYTES)
    experiment, placed, rest = _experiments(words)
    batches = [[Layer(Source(str(path)), values)], experiment]
    composed = _compose(kind_of(values.get("cmd"), path), batches, rest, placed, "repeat", suffix)
    config = composed.config
    if isinstance(config, RunConfig) and values.get("run") and all(word.key != "run" for word in words):
        config.run = _free_name(Path(config.system.data_dir), f"{values['run']}.repeat{suffix}")
        return replace(composed, made_up=config.run)
    return composed


def combinations(words: Sequence[Word]) -> list[tuple[list[Word], str]]:
    """Every combination of the comma lists among the words, with a suffix for the run's name that tells them apart."""
    choices = [varied(word) for word in words]
    if (jobs := math.prod(map(len, choices))) > MOST_VALUES:
        raise UserError(f"-m would run {jobs:,} jobs, more than {MOST_VALUES:,}")
    result = []
    for combination in itertools.product(*choices):
        labels = [
            f"{word.key.rpartition('.')[2]}_{re.sub(r'[^A-Za-z0-9.+-]+', '-', word.raw).strip('-')[:40]}"
            for word, options in zip(combination, choices, strict=True)
            if len(options) > 1 and word.key != "run"
        ]
        result.append((list(combination), "".join(f".{label}" for label in labels)))
    suffixes = [suffix for _, suffix in result]
    if len(set(suffixes)) == len(suffixes) or any(word.key == "run" for word in words):
        return result
    return [(combination, f"{suffix}.{index}") for index, (combination, suffix) in enumerate(result)]


def _compose(
    kind: Kind, batches: list[list[Layer]], words: Sequence[Word], placed: list[str], stem: str, suffix: str
) -> Composed:
    folders = search_path(words)
    picks = [word for word in words if picks_option(word)]
    tree = Tree(kind.model)
    layers = stack([*batches, *(option_layers(word, folders) for word in picks)], folders)
    for layer in layers:
        tree.lay(layer)
    placed += [f"{word.text}: option of the group {word.group or word.key}" for word in picks]
    for word in words:
        if word.key == SEARCH_PATH:
            placed.append(f"{word.text}: more folders of options and experiments")
        elif word not in picks:
            path = tree.apply(word)
            placed.append(f"{word.text}: key {path}")
            layers.append(Layer(word.source, {path: word.value}, at=path))
    config = tree.validated(kind.model)
    check_typed(config, tree)
    if isinstance(config, RunConfig):
        allow(config.agent.components)
    made_up = _name_run(config, stem, suffix)
    _check_game(config, tree)
    return Composed(kind, config, tree, layers, folders, placed, made_up)


def _name_run(config: Config, stem: str, suffix: str) -> str | None:
    """Give a run its name; returns the one that is made up where there is none yet, less the suffix."""
    if not isinstance(config, RunConfig):
        return None
    if config.run is None and find_place().size > 1:
        raise UserError("run=NAME is missing: under torchrun all processes, and restarts, must name one run")
    made_up = None if config.run else f"{_user()}.{stem}.{time.strftime('%Y%m%d-%H%M%S')}"
    config.run = f"{config.run or made_up}{suffix}"
    return made_up


def _user() -> str:
    try:
        return re.sub(r"[^\w-]+", "-", getpass.getuser())
    except (KeyError, OSError):  # no such user, as in some containers
        return "run"


def _check_game(config: Config, tree: Tree) -> None:
    """Put in what mission files say, so that the saved tree needs them no more; build the missions and divide the
    batch among the agents, so that bad input is refused before anything starts."""
    missions = {"mission": config.mission} if config.mission else {}
    if isinstance(config, RunConfig):
        missions |= {f"evals.missions.{label}": mission for label, mission in config.evals.missions.items()}
        missions |= {f"phases.{name}.mission": run.mission for name, run in _phases(config, tree).items()}
    homes = {path: [path, "mission"] if path.startswith("phases.") else [path] for path in missions}
    whole = {
        path: tree.blame(lambda mission=mission: inlined(mission), "mission", homes[path])
        for path, mission in missions.items()
    }
    if "mission" in whole:
        config.mission = whole["mission"]
    if isinstance(config, RunConfig):
        config.evals.missions = {label: whole[f"evals.missions.{label}"] for label in config.evals.missions}
        for name, phase in config.phases.items():
            phase.mission = whole.get(f"phases.{name}.mission")
    built = {
        path: tree.blame(lambda mission=mission: _playable(mission), "mission", homes[path])
        for path, mission in whole.items()
    }
    if isinstance(config, RunConfig):
        played = [(env_info(built[path]), homes[path]) for path in built if path.partition(".")[0] != "evals"]
        if config.curriculum:
            played = [(_info(run, tree, ["curriculum.mission", *homes["mission"]]), []) for run in config.phase_runs]
        elif config.env.kind != "metta":
            played = [(_info(config, tree, []), [])]
        for info, at in played:
            _check_training(config, tree, info, at)


def _playable(settings: MissionSettings) -> Mission:
    from metta.game.maps.pool import check_room  # here because it imports numba

    mission = build_mission(settings)
    check_room(mission)
    return mission


def _check_training(config: RunConfig, tree: Tree, info: "Info", at: list[str]) -> None:
    """Divide the batch among the agents, and see whether the policy can read what they see."""
    trainer, envs = config.trainer, config.training_env.num_envs
    learners = tree.blame(lambda: trainer.dual_policy.learners(info.num_agents), "trainer.dual_policy", at)
    shape = tree.blame(lambda: batch_shape(trainer, learners, envs), "trainer", at)
    if curriculum := config.curriculum:
        tree.blame(lambda: curriculum.envs_of_group(shape.envs), "curriculum")
    seen = info.without_vibes if isinstance(info, EnvInfo) and not config.training_env.vibe_actions else info
    tree.blame(lambda: wire(config.agent.components, seen, trainer.auxiliary), "agent")


def _phases(config: RunConfig, tree: Tree) -> dict[str, RunConfig]:
    """The runs of the phases that play a mission of their own. Raises UserError for a number of steps of the whole."""
    typed = [source for source in tree.setters("trainer.total_timesteps") if source.kind == "word"]
    if config.phases and typed:
        name = next(iter(config.phases))
        raise UserError(
            f"each phase has its own number of steps, such as phases.{name}.total_timesteps=…, from {typed[0]}"
        )
    runs = zip(config.phases.items(), config.phase_runs, strict=False)
    return {name: run for (name, phase), run in runs if phase.mission}


def _info(config: RunConfig, tree: Tree, homes: list[str]) -> "Info":
    """What an environment of another library shows, which must be there, or all tasks of a curriculum, whose settings
    stand at `homes`."""
    from metta.rl.experience.environments import find_source  # here because it takes seconds to import

    return tree.blame(lambda: find_source(config).info, "curriculum" if homes else "env.name", homes)


def _job_of(experiment: list[Layer]) -> tuple[Job, Source]:
    """The job that the files of an experiment name with `cmd:`, and the file that does; training without one."""
    named = [(Job(layer.values["cmd"]), layer.source) for layer in experiment if "cmd" in layer.values]
    return named[-1] if named else (Job("train"), Source("the defaults"))


def _experiments(words: Sequence[Word]) -> tuple[list[Layer], list[str], list[Word]]:
    """The layers of the experiments that words name, where those words went, and the others."""
    named = [word for word in words if word.key in EXPERIMENTS]
    layers = [layer for word in named for layer in _experiment(word, search_path(words))]
    return layers, [f"{word.text}: experiment file" for word in named], [word for word in words if word not in named]


def _experiment(word: Word, folders: Folders) -> list[Layer]:
    """The layers of the experiments that a word names, one or a list."""
    if word.delete:
        raise UserError(f"'{word.text}' takes no experiment away: leave out the word that names it")
    if word.options:
        raise UserError(f"'{word.text}' lists several experiments: -m runs one job for each")
    listed = word.value if isinstance(word.value, list) else [word.value if isinstance(word.value, str) else word.raw]
    found = [layer for name in listed for layer in experiment_layers(str(name), word.source, folders)]
    return [replace(layer, chain=(str(word.source), *layer.chain)) for layer in found]


def _saved_config(folder: str) -> Path:
    places = [Path(folder), Path(folder) / "config.yaml", Path("train_dir") / folder / "config.yaml"]
    for path in places:
        if path.is_file():
            return path
    raise UserError(f"no saved run in '{folder}', from --from: a run's folder holds config.yaml")


def _free_name(folder: Path, name: str) -> str:
    names = itertools.chain([name], (f"{name}{count}" for count in itertools.count(2)))
    return next(candidate for candidate in names if not (folder / candidate).exists())
