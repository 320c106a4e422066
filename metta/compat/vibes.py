"""Small tables of `mettagrid` and `cogames`: vibes, directions, and the constants of the game."""

from types import SimpleNamespace
from typing import Literal, get_args

from metta.compat.config import Vibe
from metta.compat.writing import SYMBOLS
from metta.game.mission import AreaSettings, CostSettings, TeamSettings
from metta.game.resources import GEAR, RESOURCES

CHANGE_VIBE_PREFIX = "change_vibe_"
CardinalDirection = Literal["north", "south", "west", "east"]
CardinalDirections: tuple[CardinalDirection, ...] = get_args(CardinalDirection)
VIBES = [Vibe(symbol=symbol, name=name) for name, symbol in SYMBOLS.items()]
VIBE_BY_NAME = {vibe.name: vibe for vibe in VIBES}

_cost = CostSettings()
CvCConfig = SimpleNamespace(
    GEAR=list(GEAR),
    ELEMENTS=["oxygen", "carbon", "germanium", "silicon"],
    HEART_COST=_cost.heart,
    ALIGN_COST=_cost.align,
    SCRAMBLE_COST=_cost.scramble,
    GEAR_COSTS={gear: getattr(_cost, gear) for gear in GEAR},
    GEAR_SYMBOLS={gear: SYMBOLS[gear] for gear in GEAR},
    RESOURCES=list(RESOURCES),
    VIBES=VIBES,
    VIBE_NAMES=list(VIBE_BY_NAME),
    JUNCTION_AOE_RANGE=AreaSettings().radius,
    INITIAL_HEARTS=TeamSettings().hub_hearts,
)
