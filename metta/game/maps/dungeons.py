"""Dungeons: mazes and radial clearings (rules 9.1). `area` is uint8 [h, w]."""

import numpy as np

from metta.game.maps.biomes import DIAGONAL, STEP_COL, STEP_ROW, fill, inside
from metta.game.maps.cells import EMPTY, WALL
from metta.game.maps.random import between, chance, draw, part, shuffle

MAZE, RADIAL = range(2)
DUNGEONS = {"maze": MAZE, "radial": RADIAL}

ROOM, DEPTH_FIRST = 3, 0.6  # side of a room in cells; share of mazes dug depth first


@draw
def open_between(area, room, row, col, way):
    """Clear a room and the wall between it and the next one that way."""
    pitch = room + 1
    top, left = row * pitch, col * pitch
    fill(area, top, left, room, room, EMPTY)
    top += STEP_ROW[way] * (room if STEP_ROW[way] > 0 else 1)
    left += STEP_COL[way] * (room if STEP_COL[way] > 0 else 1)
    fill(area, top, left, 1 if STEP_ROW[way] != 0 else room, 1 if STEP_COL[way] != 0 else room, EMPTY)


@draw
def maze_depth_first(area, stream, room, rows, cols):
    """Long winding corridors: a walk that backs up where it is stuck. What no room covers stays wall."""
    fill(area, 0, 0, area.shape[0], area.shape[1], WALL)
    fill(area, 0, 0, room, room, EMPTY)
    visited = np.zeros((rows, cols), np.bool_)
    visited[0, 0] = True
    trail = np.zeros((rows * cols, 2), np.int64)
    length = 1
    while length > 0:
        row, col = trail[length - 1, 0], trail[length - 1, 1]
        options = 0
        way = -1
        for candidate in range(4):
            r, c = row + STEP_ROW[candidate], col + STEP_COL[candidate]
            if inside(visited, r, c) and not visited[r, c]:
                options += 1
                if between(stream, 1, options) == 1:
                    way = candidate
        if options == 0:
            length -= 1
            continue
        open_between(area, room, row, col, way)
        row, col = row + STEP_ROW[way], col + STEP_COL[way]
        fill(area, row * (room + 1), col * (room + 1), room, room, EMPTY)
        visited[row, col] = True
        trail[length, 0], trail[length, 1] = row, col
        length += 1


@draw
def root(parents, index):
    while parents[index] != index:
        index = parents[index]
    return index


@draw
def maze_kruskal(area, stream, room, rows, cols):
    """Many short dead ends: walls between rooms fall in random order while they part two regions."""
    height, width = area.shape
    fill(area, 0, 0, height, width, EMPTY)
    for row in range(1, rows):
        fill(area, row * (room + 1) - 1, 0, 1, width, WALL)
    for col in range(1, cols):
        fill(area, 0, col * (room + 1) - 1, height, 1, WALL)
    walls = np.empty((2 * rows * cols, 3), np.int64)
    count = 0
    for row in range(rows):
        for col in range(cols):
            for way in (0, 2):  # to the right and down
                if row + STEP_ROW[way] < rows and col + STEP_COL[way] < cols:
                    walls[count, 0], walls[count, 1], walls[count, 2] = row, col, way
                    count += 1
    shuffle(stream, walls[:count])
    parents = np.arange(rows * cols)
    for index in range(count):
        row, col, way = walls[index, 0], walls[index, 1], walls[index, 2]
        here = root(parents, row * cols + col)
        there = root(parents, (row + STEP_ROW[way]) * cols + col + STEP_COL[way])
        if here != there:
            open_between(area, room, row, col, way)
            parents[there] = here


@part
def maze(area, stream):
    """A maze of rooms that takes the whole rectangle."""
    height, width = area.shape
    room = min(ROOM, height, width)
    rows, cols = (height + 1) // (room + 1), (width + 1) // (room + 1)
    if chance(stream, DEPTH_FIRST):
        maze_depth_first(area, stream, room, rows, cols)
    else:
        maze_kruskal(area, stream, room, rows, cols)


@part
def radial(area):
    """Clear eight straight rays from the centre, two cells wide."""
    height, width = area.shape
    length = min(height, width) // 2 - 1
    for row_way in range(-1, 2):
        for col_way in range(-1, 2):
            steps = int(length * DIAGONAL + 0.5) if row_way != 0 and col_way != 0 else length
            for step in range(steps + 1):
                row, col = height // 2 + row_way * step, width // 2 + col_way * step
                fill(area, row - 1, col - 1, 2, 2, EMPTY)


@part
def paint_dungeon(area, stream, dungeon):
    """Fill a rectangle with one dungeon."""
    if dungeon == MAZE:
        maze(area, stream)
    else:
        radial(area)
