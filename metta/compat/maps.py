"""Our map settings from `mettagrid`'s map builders, and the other way round."""

from string import ascii_letters
from typing import Any

import numpy as np

from metta.common.seeds import derive
from metta.common.settings import validated
from metta.compat.errors import NotPlayableError, as_value_errors
from metta.compat.map_config import (
    AsciiMapBuilderConfig,
    BaseHubConfig,
    DistributionConfig,
    MachinaArenaConfig,
    MapBuilderConfig,
    MapGenConfig,
    RandomMapBuilderConfig,
    SequentialMachinaArenaConfig,
)
from metta.compat.random_map import picture_of
from metta.game.maps.ascii import CHARACTERS, MOST_SIDE
from metta.game.maps.cells import KIND_MASK, TEAM_SHIFT
from metta.game.maps.drawn import check_maps, drawn_map
from metta.game.maps.names import PLAIN, names_of_cells
from metta.game.maps.pool import build_pool
from metta.game.maps.sites import EXTRACTORS, SITES, WEIGHTS, Distribution, MapSettings
from metta.game.mission import Mission
from metta.game.observation import cell_name

Arena = MachinaArenaConfig | SequentialMachinaArenaConfig
ARENA, MACHINA_1 = SITES["cogsguard_arena"], SITES["cogsguard_machina_1"]
ASTEROID = 80  # cells: from this size on maps have a ragged outline
OLD = {"junction": "junction", **{name: f"{name}_extractor" for name in EXTRACTORS}}
NEW = {old: name for name, old in OLD.items()}
HUB_EXTRACTORS = list(OLD.values())[1:]
CELLS = {code: name for name, code in names_of_cells({"c": "c"}).items() if name in PLAIN or name.startswith("c:")}
PICTURE = {character: CELLS[code] for character, code in CHARACTERS.items()}  # what our maps' characters stand for
OTHERS = [letter for letter in ascii_letters if letter not in PICTURE]  # for what a picture has besides
INSTANCE = "game.map_builder.instance"
HUB = f"{INSTANCE}.hub"
HUB_OBJECT = "c:hub"
PLAYABLE = "this engine draws maps of MachinaArena, SequentialMachinaArena, RandomMapBuilder and characters"


def map_settings(builder: MapBuilderConfig) -> MapSettings:
    """Raises NotPlayableError for a builder, or a setting of one, that this engine does not draw."""
    if isinstance(builder, AsciiMapBuilderConfig):
        return _drawn(builder, None)
    if isinstance(builder, RandomMapBuilderConfig):
        return _drawn(picture_of(builder), builder.seed)
    if not isinstance(builder, MapGenConfig) or builder.instance is None:
        raise NotPlayableError(f"game.map_builder: {type(builder).__name__} is not offered; {PLAYABLE}")
    inner = builder.instance
    if isinstance(inner, MapGenConfig):
        settings = map_settings(inner)
        return settings if builder.seed is None else settings.model_copy(update={"seed": builder.seed})
    if isinstance(inner, RandomMapBuilderConfig):
        inner = picture_of(inner)
    if isinstance(inner, AsciiMapBuilderConfig):
        return _framed(builder, inner)
    if not isinstance(inner, MachinaArenaConfig | SequentialMachinaArenaConfig):
        raise NotPlayableError(f"game.map_builder.instance: {type(inner).__name__} is not offered; {PLAYABLE}")
    return _arena(builder, inner)


def _drawn(drawn: AsciiMapBuilderConfig, seed: int | None) -> MapSettings:
    """The same picture in our characters, and letters for what these do not have."""
    ours = {name: char for char, name in PICTURE.items()}
    used = dict.fromkeys(char for row in drawn.map_data for char in row)
    if unknown := [char for char in used if char not in drawn.char_to_map_name]:
        raise NotPlayableError(f"game.map_builder: unknown character '{unknown[0]}', char_to_map_name lacks it")
    names = {char: drawn.char_to_map_name[char] for char in used}
    others = dict(zip(dict.fromkeys(name for name in names.values() if name not in ours), OTHERS, strict=False))
    rows = ["".join({**ours, **others}[names[char]] for char in row) for row in drawn.map_data]
    legend = {letter: name for name, letter in others.items()}
    data = {"picture": "\n".join(rows) + "\n", "legend": legend, "seed": seed}
    return validated(MapSettings, data, "game.map_builder")


def _framed(builder: MapGenConfig, drawn: AsciiMapBuilderConfig) -> MapSettings:
    """A picture within walls."""
    usual = MapGenConfig()
    for name in ("width", "height", "instances", "instance_object_remap", "set_team_by_instance"):
        value = getattr(builder, name)
        if value != getattr(usual, name) and (name, value) != ("instances", 1):
            raise NotPlayableError(f"game.map_builder.{name}={value!r}: this engine draws characters only without it")
    wide = builder.border_width
    if 2 * wide > MOST_SIDE:
        raise NotPlayableError(f"game.map_builder.border_width={wide}: this engine draws at most {MOST_SIDE} rows")
    side = ["#"] * wide
    walls = [["#"] * (drawn.width + 2 * wide)] * wide
    rows = [*walls, *([*side, *row, *side] for row in drawn.map_data), *walls]
    return _drawn(drawn.model_copy(update={"map_data": rows}), builder.seed)


def _arena(builder: MapGenConfig, arena: Arena) -> MapSettings:
    sequential = isinstance(arena, SequentialMachinaArenaConfig)
    site = MACHINA_1 if sequential else ARENA
    width, height = builder.width or site.width, builder.height or site.height
    usual = {OLD[name]: weight for name, weight in (site.buildings if sequential else WEIGHTS).items()}
    names = arena.building_names or list(arena.building_weights or usual)
    weights = {name: (arena.building_weights or usual).get(name, usual.get(name, 1.0)) for name in names}
    zones = {"density": arena.density_scale}
    data: dict[str, Any] = {
        "site": site.site,
        "seed": builder.seed if builder.seed is not None else arena.seed,
        "width": width,
        "height": height,
        "border": builder.border_width,
        "base_biome": arena.base_biome,
        "biomes": _weights({**site.biomes, **(arena.biome_weights or {})}),
        "biome_zones": {
            **site.biome_zones.model_dump(), **zones,
            "max_fraction": arena.max_biome_zone_fraction, "count": arena.biome_count,
        },
        "dungeons": _weights({**site.dungeons, **(arena.dungeon_weights or {})}),
        "dungeon_zones": {
            **site.dungeon_zones.model_dump(), **zones,
            "max_fraction": arena.max_dungeon_zone_fraction, "count": arena.dungeon_count,
        },
        "each_once": sequential,
        "asteroid": min(width, height) >= ASTEROID if arena.asteroid_mask is None else bool(arena.asteroid_mask),
        "coverage": arena.building_coverage,
        "buildings": {NEW.get(name, name): weight for name, weight in weights.items()},
        "distributions": {
            NEW.get(name, name): _distribution(how) for name, how in (arena.building_distributions or {}).items()
        },
        "balanced_corners": arena.balance_corners,
        "hub": _hub(arena),
    }  # fmt: skip
    _refuse_others(arena)
    return validated(MapSettings, data, INSTANCE)


def _weights(weights: dict[Any, float]) -> dict[Any, float]:
    return {name: weight for name, weight in weights.items() if weight}


def _distribution(how: DistributionConfig) -> dict[str, Any]:
    middle = {"normal": [(how.mean_x, how.mean_y, how.std_x, how.std_y)], "bimodal": [
        (how.center1_x, how.center1_y, how.cluster_std, how.cluster_std),
        (how.center2_x, how.center2_y, how.cluster_std, how.cluster_std),
    ]}.get(how.type, [])  # fmt: skip
    half = [[0.5 if value is None else value for value in place] for place in middle]
    return {
        "kind": how.type,
        "places": [{"col": x, "row": y, "col_spread": dx, "row_spread": dy} for x, y, dx, dy in half],
    }


def _hub(arena: Arena) -> dict[str, Any]:
    hub = arena.hub
    corners = hub.corner_objects
    if corners is None:
        corners = HUB_EXTRACTORS if hub.corner_bundle == "extractors" else []
    bare = not any(corners)
    if not bare and sorted(corners) != sorted(HUB_EXTRACTORS):
        raise NotPlayableError(f"{HUB}.corner_objects={corners}: this engine has all four extractors or none")
    if hub.hub_width != hub.hub_height:
        raise NotPlayableError(f"{HUB}: this engine has square hubs")
    return {
        "size": hub.hub_width,
        "clearance": hub.outer_clearance,
        "junction": {"junction": "neutral", "c:junction": "team"}.get(hub.junction_object, hub.junction_object),
        "corner_extractors": not bare,
        "stations": [name.removeprefix("c:") for name in hub.stations],
        "pads": hub.spawn_count or arena.spawn_count,
        "random_pads": hub.randomize_spawn_positions,
    }


def _refuse_others(arena: Arena) -> None:
    """Raise NotPlayableError for settings that were changed and that nothing here reads."""
    unread = {"transform", "base_biome_config", "distribution"}
    hub_unread = {"transform", "corner_generator", "spawn_symbol", "include_inner_wall", "cross_objects",
                  "cross_bundle", "layout"}  # fmt: skip
    if arena.hub.hub_object != HUB_OBJECT:
        raise NotPlayableError(f"{HUB}.hub_object={arena.hub.hub_object!r}: no such object, the game has {HUB_OBJECT}")
    usual_arena = type(arena)(spawn_count=arena.spawn_count)
    for where, one, usual, names in (
        (INSTANCE, arena, usual_arena, unread), (HUB, arena.hub, BaseHubConfig(), hub_unread),
    ):  # fmt: skip
        for name in sorted(names):
            if (value := getattr(one, name)) != getattr(usual, name):
                raise NotPlayableError(f"{where}.{name}={value!r}: this engine draws maps only without it")


def builder_of(settings: MapSettings) -> MapGenConfig:
    """The builder that draws maps of these settings."""
    if settings.picture:
        rows = [list(row) for row in settings.picture.splitlines()]
        names = {char: settings.legend.get(char, PICTURE.get(char, char)) for row in rows for char in row}
        drawn = AsciiMapBuilderConfig(map_data=rows, char_to_map_name=names)
        return MapGenConfig(instance=drawn, border_width=0, instance_border_width=0, instances=1, seed=settings.seed)
    kind, usual = (SequentialMachinaArenaConfig, MACHINA_1) if settings.each_once else (MachinaArenaConfig, ARENA)
    hub, biomes, dungeons = settings.hub, settings.biome_zones, settings.dungeon_zones
    ragged = min(settings.width, settings.height) >= ASTEROID
    instance = kind(
        asteroid_mask=None if settings.asteroid == ragged else settings.asteroid,
        spawn_count=hub.pads,
        base_biome=settings.base_biome,
        balance_corners=settings.balanced_corners,
        building_coverage=settings.coverage,
        building_weights=None if settings.buildings == usual.buildings else _renamed(settings.buildings),
        building_distributions={OLD[name]: _described(how) for name, how in settings.distributions.items()},
        biome_weights=_unless_usual(settings.biomes, usual.biomes),
        dungeon_weights=_unless_usual(settings.dungeons, usual.dungeons),
        biome_count=biomes.count,
        dungeon_count=dungeons.count,
        density_scale=biomes.density,
        max_biome_zone_fraction=biomes.max_fraction,
        max_dungeon_zone_fraction=dungeons.max_fraction,
        hub=BaseHubConfig(
            hub_object=HUB_OBJECT,
            cross_distance=7,
            hub_width=hub.size,
            hub_height=hub.size,
            outer_clearance=hub.clearance,
            junction_object="c:junction" if hub.junction == "team" else "junction",
            corner_bundle="extractors" if hub.corner_extractors else "none",
            stations=[f"c:{name}" for name in hub.stations],
            randomize_spawn_positions=hub.random_pads,
        ),
    )
    return MapGenConfig(
        width=settings.width,
        height=settings.height,
        border_width=settings.border,
        seed=settings.seed,
        instance=instance,
    )


def _renamed(weights: dict[Any, float]) -> dict[str, float]:
    return {OLD[name]: weight for name, weight in weights.items()}


def _unless_usual(weights: dict[Any, float], usual: dict[Any, float]) -> dict[str, float] | None:
    """Weights with zeros for what is usual and left out; None for the usual ones."""
    return None if weights == usual else {**dict.fromkeys(usual, 0.0), **weights}


def _described(how: Distribution) -> DistributionConfig:
    """A distribution of ours as theirs."""
    if how.kind == "normal":
        (at,) = how.places
        return DistributionConfig(type="normal", mean_x=at.col, mean_y=at.row, std_x=at.col_spread, std_y=at.row_spread)
    if how.kind == "bimodal":
        one, two = how.places
        return DistributionConfig(
            type="bimodal", center1_x=one.col, center1_y=one.row, center2_x=two.col, center2_y=two.row,
            cluster_std=one.col_spread,
        )  # fmt: skip
    return DistributionConfig(type=how.kind)


def draw(builder: MapBuilderConfig, agents: int | None = None) -> np.ndarray:
    """A map as names of cells, text [height, width], with so many pads or all. Raises NotPlayableError."""
    settings = map_settings(builder)
    mission = Mission(map=settings, num_agents=agents or settings.hub.pads)
    with as_value_errors():
        if settings.picture and agents is None:
            return names_of_map(drawn_map(mission), mission)
        maps = build_pool(mission, 1, derive(int(np.random.randint(1 << 31)), "maps") >> 1)
        check_maps(mission, maps)
    return names_of_map(maps[0], mission)


def names_of_map(codes: np.ndarray, mission: Mission) -> np.ndarray:
    """Names of the cells of a map, uint8 [height, width], as `mettagrid` has them."""
    found = {
        code: CELLS.get(code) or cell_name(code & KIND_MASK, mission, code >> TEAM_SHIFT)
        for code in np.unique(codes).tolist()
    }
    return np.array([found[code] for code in codes.reshape(-1).tolist()]).reshape(codes.shape)
