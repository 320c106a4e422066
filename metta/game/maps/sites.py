"""Settings of generated maps: the sites and their variants (rules 9.2-9.4, 10.2)."""

from collections.abc import Callable
from typing import Literal

from pydantic import Field, model_validator

from metta.common.errors import UserError, suggest
from metta.common.settings import Settings

Biome = Literal["plains", "forest", "desert", "city", "caves"]
Dungeon = Literal["maze", "radial"]
Building = Literal["junction", "oxygen", "carbon", "germanium", "silicon"]
EXTRACTORS: tuple[Building, ...] = ("carbon", "oxygen", "germanium", "silicon")
Weight = float
WEIGHTS: dict[Building, Weight] = {"junction": 0.7, **dict.fromkeys(EXTRACTORS, 0.3)}


class ZoneSettings(Settings):
    """A layer of zones. Counts that are not given follow from the size of the map."""

    max_fraction: float = Field(gt=0, le=1, description="largest side of a zone's painting, as a share of the map's")
    filled: float = Field(gt=0, le=1, description="share of the zones that are painted")
    area: int = Field(ge=1, description="cells per zone, before density")
    density: float = Field(default=0.9, gt=0, description="more zones above 1, fewer below")
    count: int | None = Field(default=None, ge=1, description="zones, painted or not; default: from the area")


class Place(Settings):
    """A normal distribution on the map; all numbers are shares of its height or width."""

    row: float = Field(0.5, ge=0, le=1)
    col: float = Field(0.5, ge=0, le=1)
    row_spread: float = Field(0.2, ge=0)
    col_spread: float = Field(0.2, ge=0)


class Distribution(Settings):
    """Where buildings lie. `normal` needs one place, `bimodal` two."""

    kind: Literal["uniform", "poisson", "normal", "bimodal"] = "uniform"
    places: list[Place] = Field(default=[], description="centres and spreads")

    @model_validator(mode="after")
    def _places_fit(self) -> "Distribution":
        needed = {"normal": 1, "bimodal": 2}.get(self.kind, 0)
        if len(self.places) != needed:
            raise ValueError(f"{self.kind} needs {needed} places, not {len(self.places)}")
        return self


class HubSettings(Settings):
    size: int = Field(default=21, ge=15, description="side of the ring of walls, odd")
    clearance: int = Field(default=3, ge=1, description="cells cleared around the ring")
    junction: Literal["neutral", "team"] = Field(
        default="neutral", description="owner of the hub's junction at the start"
    )
    corner_extractors: bool = True
    pads: int = Field(default=20, ge=1, description="places at which agents may start")
    random_pads: bool = Field(default=False, description="pads on random cells inside the hub")

    @model_validator(mode="after")
    def _has_a_centre(self) -> "HubSettings":
        if self.size % 2 == 0:
            raise ValueError(f"hub size must be odd, not {self.size}")
        return self


class SiteSettings(Settings):
    """What a map of a site is drawn from."""

    name: str
    height: int = Field(default=50, ge=17, le=500, description="rows inside the border")
    width: int = Field(default=50, ge=17, le=500, description="columns inside the border")
    border: int = Field(default=5, ge=1, description="cells of wall around the map")
    teams: int = Field(default=1, ge=1, le=8, description="maps joined from top to bottom, one team each")
    seam: int = Field(default=3, ge=0, description="rows cleared of walls on both sides where two maps meet")
    base_biome: Biome = "plains"
    biomes: dict[Biome, Weight] = Field(
        default={"forest": 1, "desert": 1, "city": 1, "plains": 1}, description="weights"
    )
    biome_zones: ZoneSettings = ZoneSettings(max_fraction=0.27, filled=0.6, area=1600)
    dungeons: dict[Dungeon, Weight] = Field(default={"maze": 1, "radial": 1}, description="weights")
    dungeon_zones: ZoneSettings = ZoneSettings(max_fraction=0.2, filled=0.5, area=1500)
    each_once: bool = Field(default=False, description="one zone of each biome and dungeon instead of random ones")
    asteroid: bool = Field(default=False, description="ragged outline")
    coverage: float = Field(default=0.1, ge=0, le=1, description="buildings tried per cell")
    buildings: dict[Building, Weight] = Field(default=dict(WEIGHTS), description="weights")
    distributions: dict[Building, Distribution] = Field(default={}, description="where buildings lie; default: uniform")
    hub: HubSettings = HubSettings()

    @model_validator(mode="after")
    def _fits(self) -> "SiteSettings":
        if self.hub.size + 2 * self.hub.clearance > min(self.height, self.width):
            raise ValueError(f"hub of {self.hub.size} cells does not fit into {self.height} x {self.width}")
        weights = [*self.biomes.values(), *self.dungeons.values(), *self.buildings.values()]
        if min(weights, default=0) < 0:
            raise ValueError("weights must not be negative")
        return self

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the whole map."""
        return self.teams * (self.height + 2 * self.border), self.width + 2 * self.border


POISSON = Distribution(kind="poisson")

SITES: dict[str, SiteSettings] = {
    "cogsguard_arena": SiteSettings(name="cogsguard_arena", distributions={"junction": POISSON}),
    "cogsguard_machina_1": SiteSettings(
        name="cogsguard_machina_1",
        height=88,
        width=88,
        each_once=True,
        asteroid=True,
        coverage=0.05,
        buildings={"junction": 0.6, **dict.fromkeys(EXTRACTORS, 0.2)},
        distributions={"junction": POISSON},
        hub=HubSettings(junction="team"),
    ),
    "cogsguard_tutorial": SiteSettings(
        name="cogsguard_tutorial",
        height=35,
        width=35,
        coverage=0.05,
        hub=HubSettings(size=15, clearance=2, pads=1),
    ),
}


def site(name: str) -> SiteSettings:
    """Settings of a named site. Raises UserError for a name that does not exist."""
    if name not in SITES:
        raise UserError(f"unknown site '{name}'{suggest(name, SITES)}; there are: {', '.join(SITES)}")
    return SITES[name]


def _changed(settings: SiteSettings, **changes: object) -> SiteSettings:
    return SiteSettings.model_validate(settings.model_dump() | changes)


def _hub(**changes: object) -> Callable[[SiteSettings], SiteSettings]:
    return lambda settings: _changed(settings, hub=settings.hub.model_dump() | changes)


def _landscape(biome: Biome) -> Callable[[SiteSettings], SiteSettings]:
    return lambda settings: _changed(settings, base_biome=biome, biomes={biome: 1, "plains": 1})


def _city(settings: SiteSettings) -> SiteSettings:
    zones = settings.biome_zones.model_dump() | {"count": 1, "density": 1.0, "max_fraction": 0.95}
    return _changed(_landscape("city")(settings), biome_zones=zones)


def _small_50(settings: SiteSettings) -> SiteSettings:
    return _changed(settings, height=50, width=50, asteroid=False)


def _quadrant_buildings(settings: SiteSettings) -> SiteSettings:
    corners = zip(EXTRACTORS, ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)), strict=True)
    places = {name: Place(row=row, col=col, row_spread=0.18, col_spread=0.18) for name, (row, col) in corners}
    distributions = {name: Distribution(kind="normal", places=[place]) for name, place in places.items()}
    return _changed(settings, buildings=dict.fromkeys(EXTRACTORS, 1.0), distributions=distributions)


def _single_resource(settings: SiteSettings) -> SiteSettings:
    return _changed(settings, buildings={"oxygen": 1.0}, distributions={})


def _multi_team(settings: SiteSettings) -> SiteSettings:
    return _changed(settings, teams=2, border=1)


SITE_VARIANTS: dict[str, tuple[str, Callable[[SiteSettings], SiteSettings]]] = {
    "caves": ("winding caverns", _landscape("caves")),
    "desert": ("diagonal ridges", _landscape("desert")),
    "forest": ("thickets", _landscape("forest")),
    "city": ("blocks and streets", _city),
    "empty_base": ("no extractors in the hub", _hub(corner_extractors=False)),
    "randomize_spawns": ("agents start at random cells of the hub", _hub(random_pads=True)),
    "small_50": ("a map of 50 x 50 cells", _small_50),
    "quadrant_buildings": ("one element per quadrant, no junctions outside the hub", _quadrant_buildings),
    "single_resource_uniform": ("oxygen only, no junctions outside the hub", _single_resource),
    "multi_team": ("two teams on two joined maps", _multi_team),
}


def with_site_variants(settings: SiteSettings, names: list[str]) -> SiteSettings:
    """Apply what variants do to the map, in order; names that are no map variants are passed over."""
    for name in names:
        if name in SITE_VARIANTS:
            settings = SITE_VARIANTS[name][1](settings)
    return settings
