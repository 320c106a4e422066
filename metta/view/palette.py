"""Colours and shapes of owners, gear and elements: one table from which the page, the terminal and reports take them.

The page has palette.json built in, and viewer/src/palette.ts gives teams their colours by the same rule.
"""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, Field

from metta.game.resources import CLIPS

Hex = Annotated[str, Field(pattern="^#[0-9a-f]{6}$")]


class Paint(BaseModel):
    """A colour on dark and on light ground."""

    dark: Hex
    light: Hex


class Look(Paint):
    """How an owner is told from others; `sides` of its junctions, a ring for 0, and its sign in the terminal."""

    sides: int
    sign: str


class Palette(BaseModel):
    """The table. Teams get its colours in their order, unless their names say otherwise."""

    neutral: Look
    clips: Look
    teams: dict[str, Look]
    gear: dict[str, Paint]
    elements: dict[str, Paint]
    ink: dict[str, Paint]  # of everything else


PALETTE = Palette.model_validate_json(files("metta.view").joinpath("palette.json").read_text("utf-8"))


def looks_of(owners: Iterable[str]) -> dict[str, Look]:
    """How each team looks, and the clips if they are among them.

    A team whose name contains a colour's name gets that colour, the others those that are left, in alphabetical order.
    """
    return _looks_of(tuple(sorted(owners)))


@cache
def _looks_of(owners: tuple[str, ...]) -> dict[str, Look]:
    free = list(PALETTE.teams)
    looks = {}
    for name in owners:
        if name == CLIPS:
            looks[name] = PALETTE.clips
        elif said := next((colour for colour in free if colour in name.lower()), None):
            free.remove(said)
            looks[name] = PALETTE.teams[said]
    others = [name for name in owners if name not in looks]
    free = free or list(PALETTE.teams)
    return looks | {name: PALETTE.teams[free[k % len(free)]] for k, name in enumerate(others)}
