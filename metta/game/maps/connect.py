"""Joins all empty cells of a map: tunnels are dug where they are cheapest (rules 9.1)."""

import numpy as np

from metta.game.maps.biomes import STEP_COL, STEP_ROW, inside
from metta.game.maps.cells import EMPTY, WALL
from metta.game.maps.random import draw

DIGGING = 10  # price of a wall, in empty cells


@draw
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
def cheapest_ways(area, labels, source):
    """Cost of the cheapest way from a region to each cell, and the cell before it on that way (-1: none).

    Prices are small integers, so a ring of buckets serves as the priority queue; objects cannot be passed.
    """
    height, width = area.shape
    cells = height * width
    cost = np.full(cells, 1 << 30, np.int32)
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
            total = price + (1 if area[r, c] == EMPTY else DIGGING)
            there = r * width + c
            if total < cost[there]:
                cost[there], before[there] = total, cell
                bucket = total % (DIGGING + 1)
                entry_cell[entries], entry_next[entries] = there, heads[bucket]
                heads[bucket] = entries
                entries += 1
                waiting += 1
    return cost, before


@draw
def connect(area):
    """Dig from every region to the largest one."""
    width = area.shape[1]
    labels, count, largest = label_regions(area)
    if count < 2:
        return
    cost, before = cheapest_ways(area, labels, largest)
    nearest = np.full(count + 1, -1, np.int32)
    for cell in range(area.size):
        label = labels[cell // width, cell % width]
        if label and (nearest[label] < 0 or cost[cell] < cost[nearest[label]]):
            nearest[label] = cell
    for label in range(1, count + 1):
        cell = nearest[label]
        while before[cell] >= 0:
            area[cell // width, cell % width] = EMPTY
            cell = before[cell]
