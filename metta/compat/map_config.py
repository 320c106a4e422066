"""Map builders of `mettagrid` as configuration: arenas of CoGsGuard, joined for several teams, drawn and random maps.

`metta.compat.maps` makes our map settings of them.
"""

from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

DEFAULT_CHARACTERS = {"#": "wall", ".": "empty", "@": "agent.agent"}


class SceneConfig(BaseModel):
    """Unknown fields are refused; what is assigned later is not checked until a map is built."""

    model_config = ConfigDict(extra="forbid")


class DistributionConfig(SceneConfig):
    """Where buildings lie; positions and spreads are shares of width (x) and height (y)."""

    type: Literal["uniform", "poisson", "normal", "bimodal", "exponential"] = "uniform"
    mean_x: float | None = None
    mean_y: float | None = None
    std_x: float = 0.2
    std_y: float = 0.2
    decay_rate: float = 2.0
    origin_x: float = 0.0
    origin_y: float = 0.0
    center1_x: float = 0.25
    center1_y: float = 0.25
    center2_x: float = 0.75
    center2_y: float = 0.75
    cluster_std: float = 0.15


class DistributionType:
    """Names of distributions."""

    UNIFORM, POISSON, NORMAL, BIMODAL, EXPONENTIAL = "uniform", "poisson", "normal", "bimodal", "exponential"


class BaseHubConfig(SceneConfig):
    """The base in the middle."""

    type: Literal["mettagrid.mapgen.scenes.base_hub.BaseHub.Config"] = "mettagrid.mapgen.scenes.base_hub.BaseHub.Config"
    children: list[Any] = []
    seed: int | None = None
    transform: str = "identity"
    hub_object: str = "hub"  # no mission has such an object: those of the game's own sites have c:hub
    corner_generator: str | None = None
    spawn_symbol: str = "agent.agent"
    spawn_count: int | None = None
    hub_width: int = 21
    hub_height: int = 21
    include_inner_wall: bool = True
    outer_clearance: int = 3
    corner_objects: list[str] | None = None
    corner_bundle: Literal["extractors", "none", "custom"] = "extractors"
    cross_objects: list[str] | None = None
    cross_bundle: Literal["extractors", "none", "custom"] = "none"
    cross_distance: int = 4
    layout: str = "default"
    junction_object: str = "junction"
    randomize_spawn_positions: bool = False
    stations: list[str] = []


class _Arena(SceneConfig):
    children: list[Any] = []
    seed: int | None = None
    transform: str = "identity"
    spawn_count: int
    base_biome: str = "plains"
    base_biome_config: dict[str, Any] = {}
    balance_corners: bool = False
    balance_tolerance: float = 3.0
    max_balance_shortcuts: int = 10
    building_coverage: float = 0.05
    building_names: list[str] | None = None
    building_weights: dict[str, float] | None = None
    hub: BaseHubConfig = BaseHubConfig(cross_distance=7)
    biome_weights: dict[str, float] | None = None
    dungeon_weights: dict[str, float] | None = None
    biome_count: int | None = None
    dungeon_count: int | None = None
    density_scale: float = 0.9
    max_biome_zone_fraction: float = 0.27
    max_dungeon_zone_fraction: float = 0.2
    building_distributions: dict[str, DistributionConfig] | None = None
    distribution: DistributionConfig = DistributionConfig()
    asteroid_mask: Any = None


class MachinaArenaConfig(_Arena):
    """Landscapes and dungeons in zones, buildings between them, the hub in the middle."""

    type: Literal["cogames.cogs_vs_clips.terrain.MachinaArena.Config"] = (
        "cogames.cogs_vs_clips.terrain.MachinaArena.Config"
    )


class SequentialMachinaArenaConfig(_Arena):
    """The same with one zone of each landscape and dungeon."""

    type: Literal["cogames.cogs_vs_clips.terrain.SequentialMachinaArena.Config"] = (
        "cogames.cogs_vs_clips.terrain.SequentialMachinaArena.Config"
    )


class MapBuilderConfig(SceneConfig):
    """Anything that draws a map."""

    @classmethod
    def from_uri(cls, uri: str | Path) -> Self:
        """Of a YAML or JSON file, as `.map` files are."""
        return cls.from_str(Path(uri).read_text())

    @classmethod
    def from_str(cls, data: str | bytes) -> Self:
        """Of YAML or JSON. Raises ValidationError for what is not offered."""
        wanted: Any = AnyMapBuilder if cls is MapBuilderConfig else cls
        return TypeAdapter(wanted).validate_python(yaml.safe_load(data))

    def create(self) -> "MapBuilder":
        return MapBuilder(self)


class AsciiMapBuilderConfig(MapBuilderConfig):
    """A map in characters; `char_to_map_name` tells what they stand for."""

    type: Literal["mettagrid.map_builder.ascii.AsciiMapBuilder.Config"] = (
        "mettagrid.map_builder.ascii.AsciiMapBuilder.Config"
    )
    map_data: list[list[str]]  # or rows of text, or one text, when it is made
    char_to_map_name: dict[str, str]

    @field_validator("map_data", mode="before")
    @classmethod
    def _cells(cls, value: Any) -> Any:
        rows = value.splitlines() if isinstance(value, str) else value
        if len({len(row) for row in rows}) > 1:
            raise ValueError(f"rows of {', '.join(sorted({str(len(row)) for row in rows}))} cells; all need as many")
        return [list(row) for row in rows]

    @field_validator("char_to_map_name")
    @classmethod
    def _with_usual(cls, value: dict[str, str]) -> dict[str, str]:
        for char, name in DEFAULT_CHARACTERS.items():
            if value.get(char, name) != name:
                raise ValueError(f"'{char}' is always {name}, it cannot be {value[char]}")
        return {**DEFAULT_CHARACTERS, **value}

    @property
    def width(self) -> int:
        return len(self.map_data[0]) if self.map_data else 0

    @property
    def height(self) -> int:
        return len(self.map_data)


class RandomMapBuilderConfig(MapBuilderConfig):
    """Objects on random cells within a border. Where they are too many, there are half as many of each, and again."""

    type: Literal["mettagrid.map_builder.random_map.RandomMapBuilder.Config"] = (
        "mettagrid.map_builder.random_map.RandomMapBuilder.Config"
    )
    seed: int | None = None
    width: int = 10
    height: int = 10
    objects: dict[str, int] = {}
    agents: int | dict[str, int] = 0
    border_width: int = 0
    border_object: str = "wall"


Inner = MachinaArenaConfig | SequentialMachinaArenaConfig | AsciiMapBuilderConfig | RandomMapBuilderConfig


class MapGenConfig(MapBuilderConfig):
    """A scene within a border of wall; several instances side by side for several teams."""

    type: Literal["mettagrid.mapgen.mapgen.MapGen.Config"] = "mettagrid.mapgen.mapgen.MapGen.Config"
    border_width: int = Field(default=5, ge=0)
    seed: int | None = None
    instance: "Inner | MapGenConfig | None" = None
    width: int | None = Field(default=None, ge=0)
    height: int | None = Field(default=None, ge=0)
    instances: int | None = None
    num_agents: int | None = None
    fixed_spawn_order: bool = False
    instance_border_width: int = 5
    instance_border_object: str = "wall"
    instance_border_clear_radius: int = 0
    set_team_by_instance: bool = False
    instance_names: list[str] | None = None
    instance_object_remap: dict[str, str] = {}


AnyMapBuilder = MapGenConfig | AsciiMapBuilderConfig | RandomMapBuilderConfig


class GameMap(BaseModel):
    """A built map."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    grid: np.ndarray  # names of cells, text [height, width]


class MapBuilder:
    """Draws maps of one configuration."""

    def __init__(self, config: MapBuilderConfig) -> None:
        self.config = config

    def build(self) -> GameMap:
        """The map of the configured seed, or any, with all its pads."""
        from metta.compat.maps import draw  # here because that draws with the engine

        return GameMap(grid=draw(self.config))

    def build_for_num_agents(self, num_agents: int) -> GameMap:
        """The same with pads for so many agents. Raises NotPlayableError (a ValueError) where there are not as many."""
        from metta.compat.maps import draw

        return GameMap(grid=draw(self.config, num_agents))


class MapGen(MapBuilder):
    """Its `Config` is what people look for."""

    Config = MapGenConfig


class AsciiMapBuilder(MapBuilder):
    Config = AsciiMapBuilderConfig


class RandomMapBuilder(MapBuilder):
    Config = RandomMapBuilderConfig


class MachinaArena:
    Config = MachinaArenaConfig


class SequentialMachinaArena:
    Config = SequentialMachinaArenaConfig


class BaseHub:
    Config = BaseHubConfig
