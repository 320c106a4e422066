"""The missions and sites that come with the game, as `cogames` names them, and how they are found."""

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from metta.common.errors import suggest
from metta.compat.config import MettaGridConfig
from metta.compat.errors import as_value_errors
from metta.compat.map_config import (
    AsciiMapBuilderConfig,
    MachinaArenaConfig,
    MapGenConfig,
    SequentialMachinaArenaConfig,
)
from metta.compat.maps import builder_of
from metta.compat.missions import CoGameMissionVariant, CoGameSite, CvCMission
from metta.compat.variants import (
    COGSGUARD_DIFFICULTIES,
    HIDDEN_VARIANTS,
    VARIANTS,
    AlignerRewardsVariant,
    AllJunctionsClipsAligned,
    MinerRewardsVariant,
    NumCogsVariant,
    ScoutRewardsVariant,
    ScramblerRewardsVariant,
    get_cogsguard_difficulty,
)
from metta.game import missions as ours
from metta.game.maps.sites import SITES as OUR_SITES
from metta.game.maps.sites import MapSettings
from metta.game.variants import MAP_VARIANTS

FILES = (".yaml", ".yml", ".json", ".py")
CORE = (
    "cogsguard_machina_1.basic", "cogsguard_arena.basic", "cogsguard_arena.aligner_tutorial",
    "cogsguard_machina_1.miner_tutorial", "cogsguard_arena.scrambler_tutorial", "cogsguard_arena.scout_tutorial",
)  # fmt: skip
MOST_COGS = {"evals": 8}
KNOWN: dict[str, CoGameMissionVariant] = {
    variant.name: variant
    for variant in (
        *VARIANTS, *HIDDEN_VARIANTS, *COGSGUARD_DIFFICULTIES, AllJunctionsClipsAligned(), AlignerRewardsVariant(),
        MinerRewardsVariant(), ScoutRewardsVariant(), ScramblerRewardsVariant(),
    )
}  # fmt: skip


def _site(name: str, settings: MapSettings, least: int = 1, most: int | None = None) -> CoGameSite:
    return CoGameSite(
        name=name,
        description=ours.mission_sites().get(name, ""),
        map_builder=builder_of(settings),
        min_cogs=least,
        max_cogs=most or MOST_COGS.get(name, settings.hub.pads),
    )


def _with_pads(name: str, cogs: int) -> CoGameSite:
    settings = OUR_SITES[name]
    hub = settings.hub.model_copy(update={"pads": cogs})
    return _site(name, settings.model_copy(update={"hub": hub}), cogs, cogs)


COGSGUARD_ARENA = _site("cogsguard_arena", OUR_SITES["cogsguard_arena"])
COGSGUARD_MACHINA_1 = _site("cogsguard_machina_1", OUR_SITES["cogsguard_machina_1"])
SITES = [COGSGUARD_MACHINA_1, COGSGUARD_ARENA]


def _bare(name: str, side: int, arena: type[MachinaArenaConfig] | type[SequentialMachinaArenaConfig]) -> CoGameSite:
    """A site of the original whose hub is an object that no mission has: it is played once `hub_object` is c:hub."""
    builder = MapGenConfig(width=side, height=side, instance=arena(spawn_count=20))
    return CoGameSite(
        name=name, description=f"{side} x {side} cells, without stations", map_builder=builder, max_cogs=20
    )


HELLO_WORLD = _bare("hello_world", 100, MachinaArenaConfig)
MACHINA_1 = _bare("machina_1", 88, SequentialMachinaArenaConfig)


def make_cogsguard_arena_site(num_agents: int = 10) -> CoGameSite:
    """The arena for exactly so many cogs."""
    return _with_pads("cogsguard_arena", num_agents)


def make_cogsguard_machina1_site(num_agents: int = 10) -> CoGameSite:
    """Machina 1 for exactly so many cogs."""
    return _with_pads("cogsguard_machina_1", num_agents)


def get_map(map_name: str) -> MapGenConfig:
    """The map of a `.map` file of one's own. Raises FileNotFoundError: the files of `cogames` are not offered."""
    if not Path(map_name).is_file():
        raise FileNotFoundError(
            f"Map not found: {map_name}; metta has no maps of cogames, its missions on drawn maps: cogames missions"
        )
    drawn = AsciiMapBuilderConfig.from_uri(map_name)
    return MapGenConfig(instance=drawn, instances=1, fixed_spawn_order=False, instance_border_width=0)


def cvc_mission(full: str) -> CvCMission:
    """A mission of ours as an object of its own. Its variants have acted on it, they act on the trees that it makes."""
    mission = ours.load_mission(full)
    site, _, name = mission.name.partition(".")
    made = CvCMission(
        name=name,
        description=mission.description,
        site=_site(site, mission.map),
        num_cogs=mission.num_agents,
        max_steps=mission.max_steps,
        cog=mission.cog,
        teams=mission.teams,
        clips=mission.clips,
        weather=mission.weather,
    )
    made.take(mission)
    acted = [variant for variant in mission.variants if variant in KNOWN and variant not in MAP_VARIANTS]
    made.variants.extend(KNOWN[variant] for variant in acted)  # the site has the maps already
    return made


@cache
def _missions(names: tuple[str, ...]) -> tuple[CvCMission, ...]:
    return tuple(map(cvc_mission, names))


def get_core_missions() -> list[CvCMission]:
    """Copies: a mission object can be changed."""
    return [mission.model_copy(deep=True) for mission in _missions(CORE)]


def load_mission_set(mission_set: str) -> list[CvCMission]:
    """The missions of an evaluation set. Raises ValueError for one that there is not."""
    with as_value_errors():
        names = ours.mission_names() if mission_set == "all" else ours.mission_set(mission_set)
    return [mission.model_copy(deep=True) for mission in _missions(tuple(names))]


def get_all_missions() -> list[str]:
    return list(CORE)


def get_all_eval_missions() -> list[str]:
    return [name for name in ours.mission_names() if name not in CORE]


def find_mission(
    site_name: str, mission_name: str | None = None, *, include_evals: bool = False, include_legacy: bool = False
) -> CvCMission:
    """A mission of a site, by default the first; without a site of that name the mission of that name.

    Raises ValueError for none.
    """
    names = (*CORE, *(name for name in ours.mission_names() if include_evals and name not in CORE))
    wanted = site_name if mission_name is None else f"{site_name}.{mission_name}"
    found = next((name for name in names if wanted in (name, name.split(".")[0])), None)
    found = found or next((name for name in names if mission_name is None and wanted == name.split(".")[1]), None)
    if found is None:
        near = suggest(wanted, {part for name in names for part in (name, *name.split("."))})
        raise ValueError(f"Could not find mission name or site {wanted}{near}")
    return cvc_mission(found)


def parse_variants(variants_arg: list[str] | None) -> list[CoGameMissionVariant]:
    """Variants by name. Raises ValueError for one that there is not."""
    known = {variant.name: variant for variant in (*HIDDEN_VARIANTS, *reversed(VARIANTS))}
    for name in variants_arg or []:
        if name not in known:
            available = ", ".join(variant.name for variant in VARIANTS)
            raise ValueError(f"Unknown variant '{name}'{suggest(name, known)}.\nAvailable variants: {available}")
    return [known[name] for name in variants_arg or []]


def get_mission(
    mission_arg: str,
    variants_arg: list[str] | None = None,
    cogs: int | None = None,
    include_legacy: bool = False,
    difficulty: str | None = None,
) -> tuple[str, MettaGridConfig, CvCMission | None]:
    """Full name, tree and mission: `site.mission`, a site, a mission's own name, or a file (without a mission).

    Raises ValueError for what there is not.
    """
    if mission_arg.endswith(FILES):
        if difficulty is not None:
            raise ValueError("Difficulty can only be used with mission names, not config files.")
        return mission_arg, _config_of(Path(mission_arg)), None
    if mission_arg.count(".") > 1:
        raise ValueError("Mission name can contain at most one `.` delimiter")
    site, _, name = mission_arg.partition(".")
    mission = find_mission(site, name or None, include_evals=True)
    chosen = [get_cogsguard_difficulty(difficulty)] if difficulty else []
    chosen += parse_variants(variants_arg)
    mission = mission.with_variants([*chosen, *([NumCogsVariant(num_cogs=cogs)] if cogs is not None else [])])
    return mission.full_name(), mission.make_env(), mission


def get_mission_name_and_config(ctx: Any, mission_arg: str | None, variants_arg: list[str] | None = None,
                                cogs: int | None = None, difficulty: str | None = None) -> Any:  # fmt: skip
    """As `get_mission`, for commands: says what is wrong and exits with 1."""
    import typer

    try:
        return get_mission(mission_arg or "", variants_arg, cogs, difficulty=difficulty)
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _config_of(path: Path) -> MettaGridConfig:
    if not path.is_file():
        raise ValueError(f"File not found: {path}" if not path.exists() else f"Not a file: {path}")
    return load_mission_config_from_python(path) if path.suffix == ".py" else load_mission_config(path)


def load_mission_config(path: Path) -> MettaGridConfig:
    """A tree from a YAML or JSON file. Raises ValueError for another."""
    path = Path(path)
    if path.suffix == ".json":
        return MettaGridConfig.model_validate(json.loads(path.read_text()))
    if path.suffix in (".yaml", ".yml"):
        return MettaGridConfig.model_validate(yaml.safe_load(path.read_text()))
    raise ValueError(f"Unsupported file format: {path.suffix}")


def load_mission_config_from_python(path: Path) -> MettaGridConfig:
    """What `get_config()` or `config` of a Python file is. It is run, so name only files of your own."""
    spec = importlib.util.spec_from_file_location("mission_config", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.get_config() if hasattr(module, "get_config") else getattr(module, "config", None)
    if not isinstance(found, MettaGridConfig):
        raise ValueError(f"{path}: has neither get_config() nor config that gives a MettaGridConfig")
    return found


def save_mission_config(config: MettaGridConfig, path: Path) -> None:
    """Write a tree as YAML or JSON. Raises ValueError for another suffix."""
    path, data = Path(path), config.model_dump(mode="json")
    if path.suffix == ".json":
        path.write_text(json.dumps(data, indent=2))
    elif path.suffix in (".yaml", ".yml"):
        path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    else:
        raise ValueError(f"Unsupported file format: {path.suffix}")


def make_cogsguard_mission(num_agents: int = 10, max_steps: int = 10000) -> CvCMission:
    """The whole game on Machina 1."""
    mission = cvc_mission("cogsguard_machina_1.basic")
    mission.site = make_cogsguard_machina1_site(num_agents)
    mission.num_cogs, mission.max_steps = num_agents, max_steps
    mission.teams["cogs"].num_agents = num_agents
    return mission


def make_game(num_cogs: int = 2) -> MettaGridConfig:
    """The whole game in the arena."""
    return get_mission("cogsguard_arena.basic", cogs=num_cogs)[1]


# Missions as module attributes, each made when somebody asks for it.
NAMED = {
    "CogsGuardMachina1Mission": "cogsguard_machina_1.basic",
    "CogsGuardBasicMission": "cogsguard_arena.basic",
    "AlignerTutorialMission": "cogsguard_arena.aligner_tutorial",
    "MinerTutorialMission": "cogsguard_machina_1.miner_tutorial",
    "ScramblerTutorialMission": "cogsguard_arena.scrambler_tutorial",
    "ScoutTutorialMission": "cogsguard_arena.scout_tutorial",
    "CogsGuardTutorialMission": "cogsguard_tutorial.tutorial",
}


def get_missions() -> list[CvCMission]:
    """The core missions and the one on a large dark map."""
    return [*get_core_missions(), cvc_mission("hello_world.energy_starved")]


def __getattr__(name: str) -> CvCMission | list[CvCMission]:
    if name == "MISSIONS":
        return get_missions()
    if name in NAMED:
        return cvc_mission(NAMED[name])
    raise AttributeError(f"module {__name__} has no attribute {name}")
