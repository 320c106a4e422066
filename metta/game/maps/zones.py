"""Zones: a binary partition of the map whose leaves receive biomes or dungeons (rules 9.1-9.3)."""

import numpy as np

from metta.game.maps.biomes import paint_biome
from metta.game.maps.dungeons import paint_dungeon
from metta.game.maps.random import between, chance, draw, part, shuffle, weighted


@draw
def split(stream, zone, first, second):
    """Cut a zone (row, col, height, width) in two, across its longer side when that is twice the other."""
    row, col, height, width = zone[0], zone[1], zone[2], zone[3]
    if width > 2 * height:
        upright = True
    elif height > 2 * width:
        upright = False
    else:
        upright = chance(stream, 0.5)
    size = width if upright else height
    cut = between(stream, size // 3, size - size // 3)
    for index in range(4):
        first[index] = second[index] = zone[index]
    if upright:
        first[3], second[3] = cut, width - cut
        second[1] = col + cut
    else:
        first[2], second[2] = cut, height - cut
        second[0] = row + cut


@part
def partition(stream, height, width, count):
    """Leaves of `count - 1` breadth-first splits in random order: int64 [count, 4] (row, col, height, width)."""
    zones = np.zeros((2 * count - 1, 4), np.int64)
    zones[0, 2], zones[0, 3] = height, width
    for index in range(count - 1):
        split(stream, zones[index], zones[2 * index + 1], zones[2 * index + 2])
        shuffle(stream, zones[2 * index + 1 : 2 * index + 3])
    leaves = zones[count - 1 :]
    shuffle(stream, leaves)
    return leaves


@part
def paint_zones(area, stream, layer, dungeons):
    """Paint a layer: a centred rectangle, bounded in size, in each chosen zone."""
    if len(layer.kinds) == 0:
        return
    zones = partition(stream, area.shape[0], area.shape[1], layer.zones)
    for index in range(layer.filled):
        kind = layer.kinds[index] if layer.each_once else layer.kinds[weighted(stream, layer.weights)]
        row, col, height, width = zones[index, 0], zones[index, 1], zones[index, 2], zones[index, 3]
        high, wide = min(height, layer.max_height), min(width, layer.max_width)
        top, left = row + (height - high) // 2, col + (width - wide) // 2
        rectangle = area[top : top + high, left : left + wide]
        if dungeons:
            paint_dungeon(rectangle, stream, kind)
        else:
            paint_biome(rectangle, stream, kind)
