"""Placement of junctions and extractors (rules 9.1). `area` is uint8 [h, w]."""

import numpy as np

from metta.game.maps.biomes import fill
from metta.game.maps.cells import EMPTY
from metta.game.maps.random import between, draw, normal, part, weighted

UNIFORM, POISSON, NORMAL, BIMODAL = range(4)
DISTRIBUTIONS = {"uniform": UNIFORM, "poisson": POISSON, "normal": NORMAL, "bimodal": BIMODAL}

TRIES = 200  # darts thrown for one point of a Poisson disk before the separation is lowered


@draw
def near_point(stream, centre, spread, size):
    """Coordinate in [1, size - 2], normal around a centre; centre and spread are shares of the room there is."""
    room = size - 2
    return min(max(int(1 + centre * room + spread * room * normal(stream)), 1), size - 2)


@draw
def dart(stream, height, width, points, count, separation):
    """A uniform cell at least `separation` from all points so far; row 0 when no try fits."""
    for _ in range(TRIES):
        row, col = between(stream, 1, height - 2), between(stream, 1, width - 2)
        free = True
        for index in range(count):
            if (points[index, 0] - row) ** 2 + (points[index, 1] - col) ** 2 < separation**2:
                free = False
                break
        if free:
            return row, col
    return 0, 0


@part
def candidates(stream, height, width, groups, g):
    """Cells at which the buildings of group `g` are tried: int64 [n, 2]."""
    count, separation, kind = groups.counts[g], groups.separations[g], groups.distributions[g]
    points = np.zeros((count, 2), np.int64)
    for index in range(count):
        if kind == POISSON:
            row, col = dart(stream, height, width, points, index, separation)
            while row == 0:
                separation -= 1
                row, col = dart(stream, height, width, points, index, separation)
        elif kind == UNIFORM:
            row, col = between(stream, 1, height - 2), between(stream, 1, width - 2)
        else:
            place = groups.places[g, 1 if kind == BIMODAL and index >= count // 2 else 0]
            row = near_point(stream, place[0], place[2], height)
            col = near_point(stream, place[1], place[3], width)
        points[index, 0], points[index, 1] = row, col
    return points


@part
def place_buildings(area, stream, groups):
    """Place all groups; a candidate beside an earlier building is skipped, a placed one clears its neighbours."""
    height, width = area.shape
    taken = np.zeros((height, width), np.uint8)
    for g in range(len(groups.counts)):
        points = candidates(stream, height, width, groups, g)
        for index in range(len(points)):
            row, col = points[index, 0], points[index, 1]
            cell = weighted(stream, groups.weights[g])
            if taken[row, col]:
                continue
            fill(area, row - 1, col - 1, 3, 3, EMPTY)
            fill(taken, row - 1, col - 1, 3, 3, 1)
            area[row, col] = cell
