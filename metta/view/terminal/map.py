"""The map of a scene, two columns a cell."""

import numpy as np
from rich.segment import Segment

from metta.view.scene import Scene
from metta.view.terminal import symbols
from metta.view.terminal.text import Line, piece

WALL, OUTSIDE = -1, -2  # grounds; of floors the bit k tells whether they lie in an area of the owner k


def first_shown(middle: int, shown: int, total: int) -> int:
    """The first of `shown` cells, as near around `middle` as the edges let; negative where all `total` fit."""
    if total <= shown:
        return -((shown - total) // 2)
    return min(max(0, middle - shown // 2), total - shown)


def grounds(scene: Scene) -> np.ndarray:
    """Ground of every cell, int64 [H, W]: walls, and floors by whose areas they lie in."""
    height, width = scene.walls.shape
    radius = scene.radius
    ground = np.zeros((height + 2 * radius, width + 2 * radius), np.int64)
    across = np.arange(-radius, radius + 1) ** 2
    disc = (across[:, None] + across) <= radius**2
    for thing in scene.things:
        if thing.kind in ("hub", "junction") and thing.owner in scene.owners[1:]:
            area = ground[thing.row : thing.row + 2 * radius + 1, thing.col : thing.col + 2 * radius + 1]
            area[disc] |= 1 << scene.owners.index(thing.owner)
    ground = ground[radius : radius + height, radius : radius + width]
    ground[scene.walls] = WALL
    return ground


def _areas(scene: Scene, ground: np.ndarray) -> dict[int, str]:
    """Background of every kind of ground that there is."""
    teams, areas = list(scene.stock), {}
    for kind in np.unique(ground).tolist():
        ruling = [owner for k, owner in enumerate(scene.owners) if kind > 0 and kind >> k & 1]
        areas[kind] = symbols.area_style([symbols.owner_style(owner, teams) for owner in ruling])
    return areas


def _signs(
    scene: Scene, agent: int, ground: np.ndarray, areas: dict[int, str], pictures: bool
) -> dict[tuple[int, int], Segment]:
    """What stands on cells: objects, what the followed cog aims at, cogs, the followed one on top."""
    teams = list(scene.stock)
    signs: dict[tuple[int, int], Segment] = {}
    for thing in scene.things:
        sign, style = symbols.thing_sign(thing, teams, pictures)
        signs[thing.row, thing.col] = piece(sign, style + areas[int(ground[thing.row, thing.col])])
    if target := scene.cogs[agent].target:
        sign = signs[target].text if target in signs else symbols.TARGET
        signs[target] = piece(sign, symbols.TARGET_STYLE)
    for cog in sorted(scene.cogs, key=lambda cog: cog.number == agent):
        style = symbols.cog_style(cog, cog.number == agent, cog.team != scene.cogs[agent].team)
        signs[cog.row, cog.col] = piece(symbols.cog_sign(cog), style)
    return signs


def draw_map(
    scene: Scene, camera: tuple[int, int], agent: int, columns: int, rows: int, pictures: bool = True
) -> list[Line]:
    """`rows` lines of the map around the row and column `camera`, each of `columns` columns but for an odd one."""
    height, width = scene.walls.shape
    cells = columns // 2
    top, left = first_shown(camera[0], rows, height), first_shown(camera[1], cells, width)
    ground = grounds(scene)
    areas = _areas(scene, ground)
    floors = {kind: (symbols.FLOOR, symbols.FLOOR_STYLE + area) for kind, area in areas.items()}
    floors |= {WALL: (symbols.WALL, symbols.WALL_STYLE), OUTSIDE: ("  ", "")}
    signs = _signs(scene, agent, ground, areas, pictures)
    lines = []
    for row in range(top, top + rows):
        inside = 0 <= row < height
        kinds = [int(ground[row, col]) if inside and 0 <= col < width else OUTSIDE for col in range(left, left + cells)]
        lines.append(_draw_row(floors, kinds, {col - left: sign for (r, col), sign in signs.items() if r == row}))
    return lines


def _draw_row(floors: dict[int, tuple[str, str]], kinds: list[int], signs: dict[int, Segment]) -> Line:
    """A row of cells; neighbours that look alike become one piece."""
    line: Line = []
    start = 0
    for col in range(len(kinds) + 1):
        if col == len(kinds) or col in signs or kinds[col] != kinds[start]:
            if col > start:
                sign, style = floors[kinds[start]]
                line.append(piece(sign * (col - start), style))
            start = col
            if col in signs and col < len(kinds):
                line.append(signs[col])
                start = col + 1
    return line
