"""Maps of `RandomMapBuilder`, cell for cell those of `mettagrid`: it draws by numpy alone."""

from string import ascii_letters

import numpy as np

from metta.compat.config import MettaGridConfig
from metta.compat.errors import NotPlayableError
from metta.compat.map_config import AsciiMapBuilderConfig, RandomMapBuilderConfig
from metta.game.maps.ascii import MOST_SIDE

WHERE = "game.map_builder"
EMPTY = "empty"


def random_map(builder: RandomMapBuilderConfig) -> np.ndarray:
    """Names of cells, text [height, width], of the builder's seed; without one any.

    Raises NotPlayableError for a map that is too large, and for objects that do not fit.
    """
    height, width, border = builder.height, builder.width, builder.border_width
    if not (0 < height <= MOST_SIDE and 0 < width <= MOST_SIDE and border >= 0):
        raise NotPlayableError(f"{WHERE}: {height} x {width} cells, border {border}; at most {MOST_SIDE} are drawn")
    inner = max(0, height - 2 * border), max(0, width - 2 * border)
    grid = np.full((height, width), builder.border_object if border else EMPTY, dtype="<U50")
    if cells := inner[0] * inner[1]:
        names = np.array(_names(builder, cells))
        np.random.default_rng(builder.seed).shuffle(names)
        grid[border : border + inner[0], border : border + inner[1]] = names.reshape(inner)
    return grid


def _names(builder: RandomMapBuilderConfig, cells: int) -> list[str]:
    """What lies on so many cells, in the order in which it was asked for."""
    groups = {"agent": builder.agents} if isinstance(builder.agents, int) else builder.agents
    pads = sum(groups.values())
    counts = dict(builder.objects)
    while sum(counts.values()) + pads > cells and any(count > 1 for count in counts.values()):
        counts = {name: max(1, count // 2) for name, count in counts.items()}
    counts |= {f"agent.{name}": count for name, count in groups.items()}
    if (empty := cells - sum(counts.values())) < 0:
        raise NotPlayableError(f"{WHERE}: {len(builder.objects)} kinds of objects and {pads} agents on {cells} cells")
    return [name for name, count in (*counts.items(), (EMPTY, empty)) for _ in range(count)]


def picture_of(builder: RandomMapBuilderConfig) -> AsciiMapBuilderConfig:
    """The same map in characters."""
    grid = random_map(builder)
    legend = dict(zip(ascii_letters, map(str, np.unique(grid)), strict=False))
    letters = {name: letter for letter, name in legend.items()}
    return AsciiMapBuilderConfig(map_data=[[letters[name] for name in row] for row in grid], char_to_map_name=legend)


def of_number(config: MettaGridConfig, number: int) -> MettaGridConfig:
    """The configuration of the simulation of that number: a random map of the seed that many further on."""
    builder = config.game.map_builder
    if not isinstance(builder, RandomMapBuilderConfig) or builder.seed is None or not number:
        return config
    further = builder.model_copy(update={"seed": builder.seed + number})
    return config.model_copy(update={"game": config.game.model_copy(update={"map_builder": further})})
