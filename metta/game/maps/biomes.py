"""Landscapes: fill a rectangle of the map with walls in a typical pattern (rules 9.1). `area` is uint8 [h, w]."""

import numpy as np

from metta.game.maps.cells import EMPTY, WALL
from metta.game.maps.random import between, chance, draw, uniform

PLAINS, FOREST, DESERT, CITY, CAVES = range(5)
BIOMES = {"plains": PLAINS, "forest": FOREST, "desert": DESERT, "city": CITY, "caves": CAVES}

DITHER_DEPTH, DITHER = 5, 0.15
PLAINS_PITCH, PLAINS_KEPT, PLAINS_FILL, PLAINS_JITTER, PLAINS_RADIUS = 7, 0.8, 0.7, 2, 2
TURN, SPUR = 0.35, 0.12
FOREST_SEEDS, FOREST_GROWTH, FOREST_PASSES, FOREST_NEIGHBOURS = 0.03, 0.5, 2, 3
RIDGE_PITCH, RIDGE_WIDTH, RIDGE_HOLES, DIAGONAL = 8.0, 1.0, 0.1, 0.7071067811865476
CITY_PITCH, CITY_KEPT, CITY_MARGIN, CITY_BLOCK = 10, 0.9, 3, 4
CAVES_FILL, CAVES_PASSES, CAVES_BIRTH, CAVES_SURVIVAL = 0.4, 3, 5, 3

STEP_ROW = np.array([0, 0, 1, -1])
STEP_COL = np.array([1, -1, 0, 0])


@draw
def inside(area, row, col):
    return 0 <= row < area.shape[0] and 0 <= col < area.shape[1]


@draw
def fill(area, top, left, height, width, cell):
    """Set the cells of a rectangle, as far as they lie in the area."""
    for row in range(max(0, top), min(area.shape[0], top + height)):
        for col in range(max(0, left), min(area.shape[1], left + width)):
            area[row, col] = cell


@draw
def walls_around(area, row, col, outside):
    """Walls among the 8 neighbours; cells outside the area count `outside` each."""
    count = 0
    for r in range(row - 1, row + 2):
        for c in range(col - 1, col + 2):
            if r == row and c == col:
                continue
            if not inside(area, r, c):
                count += outside
            elif area[r, c] == WALL:
                count += 1
    return count


@draw
def distance_to_other(area, row, col):
    """Chebyshev distance to the nearest cell of the other kind, at most DITHER_DEPTH + 1."""
    here = area[row, col]
    for distance in range(1, DITHER_DEPTH + 1):
        for along in range(-distance, distance + 1):
            for side in (-distance, distance):
                across = inside(area, row + side, col + along) and area[row + side, col + along] != here
                upright = inside(area, row + along, col + side) and area[row + along, col + side] != here
                if across or upright:
                    return distance
    return DITHER_DEPTH + 1


@draw
def dither(area, stream):
    """Flip cells near borders of walls and floor; a frame of DITHER_DEPTH cells stays as it is."""
    height, width = area.shape
    before = area.copy()
    for row in range(DITHER_DEPTH, height - DITHER_DEPTH):
        for col in range(DITHER_DEPTH, width - DITHER_DEPTH):
            distance = distance_to_other(before, row, col)
            if chance(stream, DITHER * (DITHER_DEPTH + 1 - distance) / DITHER_DEPTH):
                area[row, col] = EMPTY if before[row, col] == WALL else WALL


@draw
def rock(area, stream, row, col, fill):
    """A wall with probability `fill`, where the cell lies in the area."""
    if chance(stream, fill) and inside(area, row, col):
        area[row, col] = WALL


@draw
def spur(area, stream, row, col, anchor_row, anchor_col, reach, fill):
    """Up to two walls beside a branch."""
    way = between(stream, 0, 3)
    for _ in range(2):
        row, col = row + STEP_ROW[way], col + STEP_COL[way]
        if (row - anchor_row) ** 2 + (col - anchor_col) ** 2 > reach:
            return
        rock(area, stream, row, col, fill)


@draw
def branch(area, stream, anchor_row, anchor_col, radius, fill):
    """A random walk from an anchor that leaves walls."""
    reach = (radius + 1) ** 2
    row, col, way = anchor_row, anchor_col, between(stream, 0, 3)
    for step in range(max(3, 3 * radius)):
        rock(area, stream, row, col, fill)
        if chance(stream, TURN):
            way = between(stream, 0, 3)
        if (row + STEP_ROW[way] - anchor_row) ** 2 + (col + STEP_COL[way] - anchor_col) ** 2 > reach:
            way = between(stream, 0, 3)
        row, col = row + STEP_ROW[way], col + STEP_COL[way]
        if step > 1 and chance(stream, SPUR):
            spur(area, stream, row, col, anchor_row, anchor_col, reach, fill)


@draw
def plains(area, stream):
    """Small clusters of rocks on a jittered lattice."""
    for lattice_row in range(0, area.shape[0], PLAINS_PITCH):
        for lattice_col in range(0, area.shape[1], PLAINS_PITCH):
            if not chance(stream, PLAINS_KEPT):
                continue
            row = lattice_row + between(stream, -PLAINS_JITTER, PLAINS_JITTER)
            col = lattice_col + between(stream, -PLAINS_JITTER, PLAINS_JITTER)
            if not inside(area, row, col):
                continue
            radius = between(stream, 0, PLAINS_RADIUS)
            if radius == 0:
                area[row, col] = WALL
                continue
            fill = PLAINS_FILL * (0.6 + 0.4 * uniform(stream))
            for _ in range(between(stream, 2, 4)):
                branch(area, stream, row, col, radius, fill)


@draw
def stamp(area, pattern):
    """Add the walls of a pattern."""
    for row in range(area.shape[0]):
        for col in range(area.shape[1]):
            if pattern[row, col] == WALL:
                area[row, col] = WALL


@draw
def forest(area, stream):
    """Thickets grown from scattered seeds."""
    trees = np.zeros(area.shape, np.uint8)
    for row in range(area.shape[0]):
        for col in range(area.shape[1]):
            if chance(stream, FOREST_SEEDS):
                trees[row, col] = WALL
    for _ in range(FOREST_PASSES):
        before = trees.copy()
        for row in range(area.shape[0]):
            for col in range(area.shape[1]):
                crowded = walls_around(before, row, col, 0) >= FOREST_NEIGHBOURS
                if crowded and chance(stream, FOREST_GROWTH):
                    trees[row, col] = WALL
    stamp(area, trees)
    dither(area, stream)


@draw
def desert(area, stream):
    """Diagonal ridges with holes."""
    for row in range(area.shape[0]):
        for col in range(area.shape[1]):
            ridge = ((row + col) * DIAGONAL) % RIDGE_PITCH < RIDGE_WIDTH
            if ridge and not chance(stream, RIDGE_HOLES):
                area[row, col] = WALL
    dither(area, stream)


@draw
def city(area, stream):
    """Square blocks with streets between."""
    for row in range(0, area.shape[0], CITY_PITCH):
        for col in range(0, area.shape[1], CITY_PITCH):
            if chance(stream, CITY_KEPT):
                fill(area, row + CITY_MARGIN, col + CITY_MARGIN, CITY_BLOCK, CITY_BLOCK, WALL)
    dither(area, stream)


@draw
def caves(area, stream):
    """Caverns of a cellular automaton."""
    rocks = np.zeros(area.shape, np.uint8)
    for row in range(area.shape[0]):
        for col in range(area.shape[1]):
            if chance(stream, CAVES_FILL):
                rocks[row, col] = WALL
    for _ in range(CAVES_PASSES):
        before = rocks.copy()
        for row in range(area.shape[0]):
            for col in range(area.shape[1]):
                count = walls_around(before, row, col, 1)
                stays = before[row, col] == WALL and count >= CAVES_SURVIVAL
                rocks[row, col] = WALL if stays or count > CAVES_BIRTH else EMPTY
    stamp(area, rocks)
    dither(area, stream)


@draw
def paint_biome(area, stream, biome):
    """Fill a rectangle with one landscape."""
    if biome == FOREST:
        forest(area, stream)
    elif biome == DESERT:
        desert(area, stream)
    elif biome == CITY:
        city(area, stream)
    elif biome == CAVES:
        caves(area, stream)
    else:
        plains(area, stream)
