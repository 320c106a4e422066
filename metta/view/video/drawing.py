"""Smooth shapes with Pillow: drawn large, then made small."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from math import cos, pi, sin

from PIL import Image, ImageDraw, ImageFont

FINE = 4  # times as large
Colour = tuple[int, int, int, int]
Points = list[tuple[float, float]]


def rgba(colour: str, alpha: float = 1.0) -> Colour:
    """`#rrggbb` and 0..1."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue, round(255 * alpha)


def sprite(size: int, draw: Callable[[ImageDraw.ImageDraw, float], None]) -> Image.Image:
    """A picture of `size` pixels a side; `draw` gets the pen and the side in its own units."""
    large = Image.new("RGBA", (size * FINE, size * FINE))
    draw(ImageDraw.Draw(large), size * FINE)
    return large.resize((size, size), Image.Resampling.LANCZOS)


def corners(centre: float, radius: float, sides: int) -> Points:
    """Of a regular polygon as the page draws it: a corner on top, but squares stand on a side; few are larger."""
    turn = pi / sides if sides % 4 == 0 else 0.0
    angles = [2 * pi * k / sides - pi / 2 + turn for k in range(sides)]
    size = radius * {3: 1.3, 4: 1.12}.get(sides, 1.0)
    return [(centre + size * cos(angle), centre + size * sin(angle)) for angle in angles]


def circle(pen: ImageDraw.ImageDraw, centre: float, radius: float, **kinds: object) -> None:
    box = (centre - radius, centre - radius, centre + radius, centre + radius)
    pen.ellipse(box, **kinds)  # pyright: ignore[reportArgumentType]


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The one that comes with Matplotlib, so that every machine has it."""
    return ImageFont.truetype(str(files("matplotlib") / "mpl-data/fonts/ttf/DejaVuSans.ttf"), size)


def stamp(picture: Image.Image, what: Image.Image, x: float, y: float) -> None:
    """Lay a picture over another, its middle at (x, y)."""
    picture.paste(what, (round(x - what.width / 2), round(y - what.height / 2)), what)
