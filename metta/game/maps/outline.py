"""The ragged outline of large maps: wall triangles that point inward from each edge (rules 9.1)."""

from metta.game.maps.biomes import fill
from metta.game.maps.cells import WALL
from metta.game.maps.random import between, chance, draw, part

PITCH, KEPT = 3, 0.6
DEPTH_LOW, DEPTH_HIGH, HALF_LOW, HALF_HIGH = 2, 8, 2, 6


@draw
def reach(half, depth, row):
    """Cells to each side of a triangle's middle: half * (1 - row / depth), rounded, halves to the even number."""
    whole, rest = divmod(half * (depth - row), depth)
    return whole + (2 * rest + (whole & 1) > depth)


@draw
def spikes(edge, stream):
    """Triangles along row 0 of a view of the map."""
    for anchor in range(0, edge.shape[1], PITCH):
        if not chance(stream, KEPT):
            continue
        depth = between(stream, DEPTH_LOW, DEPTH_HIGH)
        half = between(stream, HALF_LOW, HALF_HIGH)
        for row in range(depth):
            span = reach(half, depth, row)
            if span > 0:
                fill(edge, row, anchor - span, 1, 2 * span + 1, WALL)


@part
def asteroid(area, stream):
    """Make the outline of an area ragged."""
    spikes(area, stream)
    spikes(area[::-1], stream)
    spikes(area.T, stream)
    spikes(area.T[::-1], stream)
