"""The ragged outline of large maps: wall triangles that point inward from each edge (rules 9.1)."""

from metta.game.maps.cells import WALL
from metta.game.maps.random import between, chance, draw

PITCH, KEPT = 3, 0.6
DEPTH_LOW, DEPTH_HIGH, HALF_LOW, HALF_HIGH = 2, 8, 2, 6


@draw
def spikes(edge, stream):
    """Triangles along row 0 of a view of the map."""
    length = edge.shape[1]
    for anchor in range(0, length, PITCH):
        if not chance(stream, KEPT):
            continue
        depth = between(stream, DEPTH_LOW, DEPTH_HIGH)
        half = between(stream, HALF_LOW, HALF_HIGH)
        for row in range(min(depth, edge.shape[0])):
            span = half * (depth - row) // depth
            edge[row, max(0, anchor - span) : anchor + span + 1] = WALL


@draw
def asteroid(area, stream):
    """Make the outline of an area ragged."""
    spikes(area, stream)
    spikes(area[::-1], stream)
    spikes(area.T, stream)
    spikes(area.T[::-1], stream)
