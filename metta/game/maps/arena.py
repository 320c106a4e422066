"""Generated maps: layers painted one over the other (rules 9.1), compiled, a map per seed."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from metta.common.errors import UserError
from metta.game.maps.biomes import fill, paint_biome
from metta.game.maps.buildings import place_buildings
from metta.game.maps.cells import EMPTY, WALL
from metta.game.maps.connect import balance_corners, connect
from metta.game.maps.hub import place_hub, scatter_pads, trim_pads
from metta.game.maps.outline import asteroid
from metta.game.maps.random import entry, part, seed_stream
from metta.game.maps.recipe import Recipe, build_recipe
from metta.game.maps.sites import MapSettings
from metta.game.maps.zones import paint_zones

CHUNK = 16  # maps a thread draws at a time
MOST_SEEDS = 1 << 63


@part
def paint_area(area, stream, recipe, team):
    """Paint the map of one team inside its border: uint8 [h, w]."""
    fill(area, 0, 0, recipe.height, recipe.width, EMPTY)
    paint_biome(area, stream, recipe.base_biome)
    paint_zones(area, stream, recipe.biomes, False)
    paint_zones(area, stream, recipe.dungeons, True)
    if recipe.asteroid:
        asteroid(area, stream)
    place_buildings(area, stream, recipe.groups)
    place_hub(area, recipe.hub, team)
    if recipe.random_pads:
        scatter_pads(area, stream, recipe.hub_size, recipe.agents[team], team)
    connect(area)
    if recipe.balanced:
        balance_corners(area)
    trim_pads(area, stream, team, recipe.agents[team])


@entry
def paint_maps(maps, recipe, seed):
    """Paint maps, uint8 [n, H, W], from consecutive seeds."""
    stream = np.empty(1, np.uint64)
    high = recipe.height + 2 * recipe.border
    for index in range(len(maps)):
        grid = maps[index]
        seed_stream(stream, seed + index)
        fill(grid, 0, 0, grid.shape[0], grid.shape[1], WALL)
        for team in range(len(recipe.agents)):
            top = team * high + recipe.border
            area = grid[top : top + recipe.height, recipe.border : recipe.border + recipe.width]
            paint_area(area, stream, recipe, team)
        for team in range(1, len(recipe.agents)):
            for row in range(team * high - recipe.seam, team * high + recipe.seam):
                for col in range(grid.shape[1]):
                    if grid[row, col] == WALL:
                        grid[row, col] = EMPTY


def _draw_pool(recipe: Recipe, shape: tuple[int, int], seed: int, count: int, threads: int) -> np.ndarray:
    maps = np.empty((count, *shape), np.uint8)
    chunks = range(0, count, CHUNK)
    with ThreadPoolExecutor(max(1, min(threads, len(chunks)))) as pool:
        jobs = [pool.submit(paint_maps, maps[start : start + CHUNK], recipe, seed + start) for start in chunks]
        for job in jobs:
            job.result()
    return maps


def generate_pool(
    site: MapSettings, agents: Sequence[int], seed: int, count: int, threads: int | None = None
) -> np.ndarray:
    """Maps of consecutive seeds, uint8 [count, H, W]: map i depends on the site, the teams' sizes and `seed + i` alone.

    Raises:
        UserError: a site without room for the agents, a seed or count out of range.
    """
    if count < 1 or not 0 <= seed <= MOST_SEEDS - count:
        raise UserError(f"maps need a count above 0 and seeds from 0 to 2**63 - 1, not {count} from seed {seed}")
    recipe = build_recipe(site, agents)
    return _draw_pool(recipe, site.shape(len(agents)), seed, count, threads or os.cpu_count() or 1)


def generate(site: MapSettings, agents: Sequence[int], seed: int) -> np.ndarray:
    """One map, uint8 [H, W], of cell codes (cells.py)."""
    return generate_pool(site, agents, seed, 1, threads=1)[0]
