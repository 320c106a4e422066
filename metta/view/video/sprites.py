"""Pictures of things and cogs, each drawn once per look."""

from collections.abc import Callable
from math import ceil

from PIL import Image, ImageDraw

from metta.view.palette import PALETTE, Look
from metta.view.terminal.symbols import ROLE_LETTERS
from metta.view.video.drawing import circle, corners, font, rgba, sprite

LEVELS = 6  # of how full an extractor is
LEAST_COG = 16  # pixels
ROOM = 1.5  # sides of a sprite in cells
BACK, DOWN = PALETTE.ink["contrast"].dark, PALETTE.ink["faint"].dark


class Sprites:
    """Pictures for cells of `cell` pixels."""

    def __init__(self, cell: int) -> None:
        self._cell = cell
        self._made: dict[tuple[object, ...], Image.Image] = {}

    def thing(self, name: str, look: Look, level: int) -> Image.Image:
        """A thing by its plain name; `level` 0..LEVELS tells how full an extractor is."""

        def draw(pen: ImageDraw.ImageDraw, side: float) -> None:
            element = name.removesuffix("_extractor")
            if name == "junction":
                _junction(pen, side, look)
            elif name == "hub":
                _hub(pen, side, look)
            elif element in PALETTE.elements:
                _extractor(pen, side, PALETTE.elements[element].dark, level)
            else:
                _station(pen, side, name, PALETTE.gear.get(name, PALETTE.neutral).dark)

        return self._get(("thing", name, look.dark, level), max(5, ceil(self._cell * ROOM)), draw)

    def cog(self, agent: int, gear: str, team: Look, alive: bool, hearts: bool) -> Image.Image:
        colour = PALETTE.gear[gear or "none"].dark if alive else DOWN

        def draw(pen: ImageDraw.ImageDraw, side: float) -> None:
            middle, unit = side / 2, side / ROOM
            circle(pen, middle, unit * 0.58, fill=rgba(BACK, 0.8))
            circle(pen, middle, unit * 0.52, fill=rgba(colour), outline=rgba(team.dark), width=round(unit * 0.1))
            words = font(round(unit * (0.62 if agent < 10 else 0.5)))
            pen.text((middle, middle), str(agent), rgba(BACK), words, "mm")
            if hearts:
                low = middle + unit * 0.42
                box = (low - unit * 0.2, low - unit * 0.2, low + unit * 0.2, low + unit * 0.2)
                pen.ellipse(box, fill=rgba(PALETTE.clips.dark), outline=rgba(BACK), width=round(unit * 0.05))

        size = ceil(max(self._cell, LEAST_COG) * ROOM)
        return self._get(("cog", agent, gear, team.dark, alive, hearts), size, draw)

    def _get(
        self, key: tuple[object, ...], size: int, draw: Callable[[ImageDraw.ImageDraw, float], None]
    ) -> Image.Image:
        if key not in self._made:
            self._made[key] = sprite(size, draw)
        return self._made[key]


def _junction(pen: ImageDraw.ImageDraw, side: float, look: Look) -> None:
    """The shape and the colour of its owner; an empty ring where there is none."""
    middle, unit = side / 2, side / ROOM
    line = round(unit * 0.09)
    if not look.sides:
        circle(pen, middle, unit * 0.36, outline=rgba(look.dark), width=line)
        return
    circle(pen, middle, unit * 0.68, fill=rgba(look.dark, 0.2))
    pen.polygon(corners(middle, unit * 0.46, look.sides), rgba(look.dark, 0.5), rgba(look.dark), line)
    pen.polygon(corners(middle, unit * 0.2, look.sides), rgba(look.dark))


def _hub(pen: ImageDraw.ImageDraw, side: float, look: Look) -> None:
    middle, unit = side / 2, side / ROOM
    pen.rounded_rectangle(_square(middle, unit * 0.56), unit * 0.2, rgba(look.dark))
    roof = [(-0.4, 0.0), (0.0, -0.36), (0.4, 0.0), (0.26, 0.0), (0.26, 0.34), (-0.26, 0.34), (-0.26, 0.0)]
    pen.polygon([(middle + x * unit, middle + y * unit) for x, y in roof], rgba(BACK))


def _extractor(pen: ImageDraw.ImageDraw, side: float, colour: str, level: int) -> None:
    middle, half = side / 2, side / ROOM * 0.38
    whole = [(middle, middle - half), (middle + 0.8 * half, middle), (middle, middle + half)]
    fill = rgba(colour, 0.15 + 0.75 * level / LEVELS)
    pen.polygon([*whole, (middle - 0.8 * half, middle)], fill, rgba(colour), round(half * 0.2))


def _station(pen: ImageDraw.ImageDraw, side: float, name: str, colour: str) -> None:
    middle, unit = side / 2, side / ROOM
    square = _square(middle, unit * 0.44)
    pen.rounded_rectangle(square, unit * 0.16, rgba(colour, 0.3), rgba(colour), round(unit * 0.07))
    pen.text((middle, middle), ROLE_LETTERS.get(name, name[:1].upper()), rgba(colour), font(round(unit * 0.62)), "mm")


def _square(middle: float, half: float) -> tuple[float, float, float, float]:
    return middle - half, middle - half, middle + half, middle + half
