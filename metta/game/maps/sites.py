"""Settings of maps: the sites and their variants (rules 9.2-9.4, 10.2)."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from metta.common.errors import UserError, suggest
from metta.common.settings import Settings, changed

Biome = Literal["plains", "forest", "desert", "city", "caves"]
Dungeon = Literal["maze", "radial"]
Building = Literal["junction", "oxygen", "carbon", "germanium", "silicon"]
EXTRACTORS: tuple[Building, ...] = ("carbon", "oxygen", "germanium", "silicon")
Station = Literal["aligner", "scrambler", "miner", "scout"]
STATIONS: tuple[Station, ...] = ("aligner", "scrambler", "miner", "scout")
Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
WEIGHTS: dict[Building, Weight] = {"junction": 0.7, **dict.fromkeys(EXTRACTORS, 0.3)}


class ZoneSettings(Settings):
    """A layer of zones. Counts that are not given follow from the size of the map."""

    max_fraction: float = Field(gt=0, le=1, description="largest side of a zone's painting, as a share of the map's")
    filled: float = Field(gt=0, le=1, description="share of the zones that are painted")
    area: int = Field(ge=1, le=1_000_000, description="cells per zone, before density")
    density: float = Field(default=0.9, gt=0, le=100, description="more zones above 1, fewer below")
    count: int | None = Field(default=None, ge=1, le=500, description="zones, painted or not; default: from the area")


class Place(Settings):
    """A normal distribution on the map; all numbers are shares of its height or width."""

    row: float = Field(default=0.5, ge=0, le=1, description="centre, from the top")
    col: float = Field(default=0.5, ge=0, le=1, description="centre, from the left")
    row_spread: float = Field(default=0.2, ge=0, le=10, description="standard deviation of the rows")
    col_spread: float = Field(default=0.2, ge=0, le=10, description="standard deviation of the columns")


class Distribution(Settings):
    """Where buildings lie. `normal` needs one place, `bimodal` two."""

    kind: Literal["uniform", "poisson", "normal", "bimodal"] = Field(
        default="uniform", description="uniform, poisson (keeping a distance), normal or bimodal"
    )
    places: list[Place] = Field(default=[], description="centres and spreads")

    @model_validator(mode="after")
    def _places_fit(self) -> "Distribution":
        needed = {"normal": 1, "bimodal": 2}.get(self.kind, 0)
        if len(self.places) != needed:
            raise ValueError(f"{self.kind} needs {needed} places, not {len(self.places)}")
        return self


POISSON = Distribution(kind="poisson")


class HubSettings(Settings):
    """The base of a team in the middle of its map."""

    size: int = Field(default=21, ge=15, description="side of the ring of walls, odd")
    clearance: int = Field(default=3, ge=1, le=100, description="cells cleared around the ring")
    junction: Literal["neutral", "team"] = Field(
        default="neutral", description="owner of the hub's junction at the start"
    )
    corner_extractors: bool = Field(default=True, description="an extractor of each element in the hub's corners")
    stations: list[Station] = Field(default=list(STATIONS), description="gear stations below the hub")
    pads: int = Field(default=20, ge=1, le=255, description="places at which agents may start")
    random_pads: bool = Field(default=False, description="pads on random cells inside the hub")

    @model_validator(mode="after")
    def _has_a_centre(self) -> "HubSettings":
        if self.size % 2 == 0:
            raise ValueError(f"hub size must be odd, not {self.size}")
        return self


class MapSettings(Settings):
    """Where the maps of a mission come from: a picture, or a generator whose settings the rest are."""

    site: str = Field(default="cogsguard_arena", description="site whose settings the others change")
    picture: str = Field(
        default="",
        description="a map drawn in characters, or the name of a text file that holds one; empty: maps are generated",
    )
    legend: dict[str, str] = Field(default={}, description="own characters of the picture: {b: agent.cogs_blue}")
    seed: int | None = Field(
        default=None, ge=0, le=1 << 62, description="one map, of this seed, for all episodes; null: a map for each"
    )
    height: int = Field(default=50, ge=17, le=500, description="rows inside the border, per team")
    width: int = Field(default=50, ge=17, le=500, description="columns inside the border")
    border: int = Field(default=5, ge=1, le=100, description="cells of wall around the map")
    seam: int = Field(default=2, ge=0, le=100, description="rows cleared of walls beside the borders where maps meet")
    base_biome: Biome = Field(default="plains", description="landscape under everything")
    biomes: dict[Biome, Weight] = Field(
        default={"forest": 1, "desert": 1, "city": 1, "plains": 1}, description="landscapes of the zones: weights"
    )
    biome_zones: ZoneSettings = Field(
        default=ZoneSettings(max_fraction=0.27, filled=0.6, area=1600), description="zones with landscapes of their own"
    )
    dungeons: dict[Dungeon, Weight] = Field(
        default={"maze": 1, "radial": 1}, description="dungeons of the zones: weights"
    )
    dungeon_zones: ZoneSettings = Field(
        default=ZoneSettings(max_fraction=0.2, filled=0.5, area=1500), description="zones with dungeons"
    )
    each_once: bool = Field(default=False, description="one zone of each biome and dungeon instead of random ones")
    asteroid: bool = Field(default=False, description="ragged outline")
    coverage: float = Field(default=0.1, ge=0, le=1, description="buildings tried per cell")
    buildings: dict[Building, Weight] = Field(default=dict(WEIGHTS), description="junctions and extractors: weights")
    distributions: dict[Building, Distribution] = Field(
        default={"junction": POISSON}, description="where buildings lie; uniform where nothing is said"
    )
    balanced_corners: bool = Field(
        default=False, description="tunnels make the ways from the hub to the map's corners about equally long"
    )
    hub: HubSettings = Field(default=HubSettings(), description="base of each team")

    @model_validator(mode="after")
    def _fits(self) -> "MapSettings":
        if self.hub.size + 2 * self.hub.clearance > min(self.height, self.width):
            raise ValueError(f"hub of {self.hub.size} cells does not fit into {self.height} x {self.width}")
        return self

    def shape(self, teams: int) -> tuple[int, int]:
        """Rows and columns of a generated map: the maps of the teams are joined from top to bottom."""
        return teams * (self.height + 2 * self.border), self.width + 2 * self.border


SITES: dict[str, MapSettings] = {
    "cogsguard_arena": MapSettings(),
    "cogsguard_machina_1": MapSettings(
        site="cogsguard_machina_1",
        height=88,
        width=88,
        each_once=True,
        asteroid=True,
        coverage=0.05,
        buildings={"junction": 0.6, **dict.fromkeys(EXTRACTORS, 0.2)},
        hub=HubSettings(junction="team"),
    ),
    "cogsguard_tutorial": MapSettings(
        site="cogsguard_tutorial",
        height=35,
        width=35,
        coverage=0.05,
        distributions={},
        hub=HubSettings(size=15, clearance=2, pads=1),
    ),
}


def site(name: str) -> MapSettings:
    """Settings of a named site. Raises UserError for a name that does not exist."""
    if name not in SITES:
        raise UserError(f"unknown site '{name}'{suggest(name, SITES)}; there are: {', '.join(SITES)}")
    return SITES[name].model_copy(deep=True)


MapChange = Callable[[MapSettings], MapSettings]


def _sets(**changes: Any) -> MapChange:
    return lambda settings: changed(settings, changes)


def _landscape(biome: Biome, **changes: Any) -> MapChange:
    return _sets(base_biome=biome, biomes={biome: 1, "plains": 1}, **changes)


def _normal(row: float, col: float) -> dict[str, Any]:
    return {"kind": "normal", "places": [Place(row=row, col=col, row_spread=0.18, col_spread=0.18).model_dump()]}


def _bimodal(*places: tuple[float, float]) -> dict[str, Any]:
    spread = {"row_spread": 0.18, "col_spread": 0.18}
    return {"kind": "bimodal", "places": [{"row": row, "col": col, **spread} for row, col in places]}


QUADRANTS = dict(zip(EXTRACTORS, ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)), strict=True))
RISING, FALLING = _bimodal((0.08, 0.92), (0.92, 0.08)), _bimodal((0.08, 0.08), (0.92, 0.92))

MAP_VARIANTS: dict[str, tuple[str, MapChange]] = {
    "caves": ("winding caverns", _landscape("caves")),
    "desert": ("diagonal ridges", _landscape("desert")),
    "forest": ("thickets", _landscape("forest")),
    "city": (
        "blocks and streets",
        _landscape("city", biome_zones={"count": 1, "density": 1.0, "max_fraction": 0.95}),
    ),
    "empty_base": ("no extractors in the hub", _sets(hub={"corner_extractors": False})),
    "randomize_spawns": ("agents start at random cells of the hub", _sets(hub={"random_pads": True})),
    "small_50": ("a map of 50 x 50 cells", _sets(height=50, width=50, asteroid=False)),
    "quadrant_buildings": (
        "one element per quadrant, no junctions outside the hub",
        _sets(
            buildings=dict.fromkeys(EXTRACTORS, 1.0),
            distributions={name: _normal(*place) for name, place in QUADRANTS.items()},
        ),
    ),
    "single_resource_uniform": (
        "oxygen only, no junctions outside the hub", _sets(buildings={"oxygen": 1.0}, distributions={}),
    ),
    "distant_resources": (
        "few extractors, in opposite corners of the map",
        _sets(
            coverage=0.01, distributions=dict(zip(EXTRACTORS, (RISING, FALLING, RISING, FALLING), strict=True)),
        ),
    ),
    "balanced_corners": ("equally long ways from the hub to the corners", _sets(balanced_corners=True)),
    "multi_team": ("two teams on two joined maps", _sets(border=1)),
}  # fmt: skip
