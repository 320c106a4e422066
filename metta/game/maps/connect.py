"""Joins all empty cells of a map: tunnels are dug where they are cheapest (rules 9.1)."""

import numpy as np

from metta.game.maps.biomes import STEP_COL, STEP_ROW, inside
from metta.game.maps.cells import EMPTY, WALL
from metta.game.maps.random import draw, entry, part

DIGGING = 10  # price of a wall, in empty cells
CLOSED = 1 << 30  # price of what cannot be passed
SHORTCUTS, WORST_RATIO = 10, 1.5  # corners are balanced by so many tunnels, until the ways differ by less


@entry
def label_regions(area):
    """4-connected regions of empty cells: labels int32 [h, w] from 1, number of regions, label of the largest."""
    height, width = area.shape
    labels = np.zeros((height, width), np.int32)
    queue = np.empty(height * width, np.int32)
    count, largest, most = 0, 0, 0
    for start in range(height * width):
        if area[start // width, start % width] != EMPTY or labels[start // width, start % width]:
            continue
        count += 1
        labels[start // width, start % width] = count
        queue[0] = start
        first, last = 0, 1
        while first < last:
            row, col = queue[first] // width, queue[first] % width
            first += 1
            for way in range(4):
                r, c = row + STEP_ROW[way], col + STEP_COL[way]
                if inside(area, r, c) and area[r, c] == EMPTY and not labels[r, c]:
                    labels[r, c] = count
                    queue[last] = r * width + c
                    last += 1
        if last > most:
            largest, most = count, last
    return labels, count, largest


@draw
def cheapest_ways(area, labels, source, wall):
    """Cost of the cheapest way from a region to each cell, and the cell before it on that way (-1: none).

    A wall costs `wall`: from 1 to DIGGING, or CLOSED.

    Prices are small integers, so a ring of buckets serves as the priority queue; objects cannot be passed.
    """
    height, width = area.shape
    cells = height * width
    cost = np.full(cells, CLOSED, np.int32)
    before = np.full(cells, -1, np.int32)
    heads = np.full(DIGGING + 1, -1, np.int32)
    entry_cell = np.empty(5 * cells, np.int32)  # a cell enters once as a source or at most once per neighbour
    entry_next = np.empty(5 * cells, np.int32)
    entries, waiting, price = 0, 0, 0
    for cell in range(cells):
        if labels[cell // width, cell % width] == source:
            cost[cell] = 0
            entry_cell[entries], entry_next[entries] = cell, heads[0]
            heads[0] = entries
            entries += 1
            waiting += 1
    while waiting > 0:
        bucket = price % (DIGGING + 1)
        if heads[bucket] < 0:
            price += 1
            continue
        cell = entry_cell[heads[bucket]]
        heads[bucket] = entry_next[heads[bucket]]
        waiting -= 1
        if cost[cell] < price:
            continue
        for way in range(4):
            r, c = cell // width + STEP_ROW[way], cell % width + STEP_COL[way]
            if not inside(area, r, c) or (area[r, c] != EMPTY and area[r, c] != WALL):
                continue
            if area[r, c] == WALL and wall == CLOSED:
                continue
            total = price + (1 if area[r, c] == EMPTY else wall)
            there = r * width + c
            if total < cost[there]:
                cost[there], before[there] = total, cell
                bucket = total % (DIGGING + 1)
                entry_cell[entries], entry_next[entries] = there, heads[bucket]
                heads[bucket] = entries
                entries += 1
                waiting += 1
    return cost, before


@part
def connect(area):
    """Dig from every region to the largest one."""
    width = area.shape[1]
    labels, count, largest = label_regions(area)
    if count < 2:
        return
    cost, before = cheapest_ways(area, labels, largest, DIGGING)
    nearest = np.full(count + 1, -1, np.int32)
    for cell in range(area.size):
        label = labels[cell // width, cell % width]
        if label and (nearest[label] < 0 or cost[cell] < cost[nearest[label]]):
            nearest[label] = cell
    for label in range(1, count + 1):
        dig(area, before, nearest[label])


@draw
def dig(area, before, cell):
    """Clear the way that leads to a cell."""
    while cell >= 0:
        row, col = cell // area.shape[1], cell % area.shape[1]
        if area[row, col] == WALL:
            area[row, col] = EMPTY
        cell = before[cell]


@draw
def corner_cells(area):
    """The empty cell nearest to each corner of an area, by steps: int64 [4]."""
    height, width = area.shape
    found = np.zeros(4, np.int64)
    for corner in range(4):
        top, left = corner < 2, corner % 2 == 0
        best = CLOSED
        for row in range(height):
            for col in range(width):
                steps = (row if top else height - 1 - row) + (col if left else width - 1 - col)
                if area[row, col] == EMPTY and steps < best:
                    best, found[corner] = steps, row * width + col
    return found


@part
def balance_corners(area):
    """Dig tunnels from the middle of a connected area to the corners that are much further than the nearest one."""
    height, width = area.shape
    labels = np.zeros((height, width), np.int32)
    middle = (height - 1) // 2, (width - 1) // 2
    for row in range(middle[0] - 1, middle[0] + 2):
        for col in range(middle[1] - 1, middle[1] + 2):
            if area[row, col] == EMPTY:
                labels[row, col] = 1
    corners = corner_cells(area)
    for _ in range(SHORTCUTS):
        steps = cheapest_ways(area, labels, 1, CLOSED)[0][corners]
        if steps.max() <= WORST_RATIO * steps.min():
            return
        dig(area, cheapest_ways(area, labels, 1, 1)[1], corners[steps.argmax()])
