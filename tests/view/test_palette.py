"""One palette for page, terminal and reports, told apart with every kind of colour vision and on both grounds."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metta.game.resources import CLIPS
from metta.view.palette import PALETTE, looks_of

# How a colour appears in linear light: Machado, Oliveira and Fernandes 2009, table 1, severity 1.0.
VISION = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.95047, 1.0, 1.08883])
CLIPS_DIFFERENCE, TEAMS_DIFFERENCE = 20, 19  # CIE76; 2.3 can just be seen
GROUNDS = ("dark", "light")


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    ratios = XYZ @ np.clip(light, 0, 1) / WHITE
    f = np.where(ratios > 216 / 24389, np.cbrt(ratios), ratios * 24389 / 3132 + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(one: str, other: str, vision: str) -> float:
    seen = [lab(VISION[vision] @ linear(colour)) for colour in (one, other)]
    return float(np.linalg.norm(seen[0] - seen[1]))


def contrast(one: str, other: str) -> float:
    """As WCAG 2 has it, 1 to 21."""
    dim, bright = sorted(float(XYZ[1] @ linear(colour)) for colour in (one, other))
    return (bright + 0.05) / (dim + 0.05)


def test_the_measures_are_those_of_the_books():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert lab(linear("#ff0000")) == pytest.approx([53.24, 80.09, 67.2], abs=0.05)
    assert difference("#ff5c6c", "#37d399", "normal") > 100 > 30 > difference("#ff5c6c", "#37d399", "deuteranopia")


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("ground", GROUNDS)
def test_owners_are_told_apart_by_every_eye(vision: str, ground: str):
    teams = {name: getattr(look, ground) for name, look in PALETTE.teams.items()}
    clips = getattr(PALETTE.clips, ground)
    assert min(difference(clips, colour, vision) for colour in teams.values()) > CLIPS_DIFFERENCE
    pairs = combinations(teams.values(), 2)
    assert min(difference(one, other, vision) for one, other in pairs) > TEAMS_DIFFERENCE


@pytest.mark.parametrize("ground", GROUNDS)
def test_shapes_stand_out_from_the_floor_and_words_from_their_panel(ground: str):
    ink = {name: getattr(paint, ground) for name, paint in PALETTE.ink.items()}
    looks = (PALETTE.neutral, PALETTE.clips, *PALETTE.teams.values())
    assert min(contrast(getattr(look, ground), ink["floor"]) for look in looks) >= 3
    words = [getattr(paint, ground) for paint in (*PALETTE.gear.values(), *PALETTE.elements.values())]
    words += [ink[name] for name in ("text", "dim", "faint", "accent", "bad")]
    assert min(contrast(word, ink[panel]) for word in words for panel in ("panel", "raised", "chosen")) >= 4.5
    assert min(contrast(getattr(gear, ground), ink["contrast"]) for gear in PALETTE.gear.values()) >= 4.5


def test_clips_teams_and_neutral_junctions_differ_in_shape_as_well():
    owners = (PALETTE.neutral, PALETTE.clips, *PALETTE.teams.values())
    assert len({owner.sign for owner in owners}) == len(owners)
    teams = {look.sides for look in PALETTE.teams.values()}
    assert PALETTE.neutral.sides not in teams and PALETTE.clips.sides not in teams


def test_the_page_takes_every_colour_from_the_palette():
    sources = Path(__file__).parents[2] / "viewer" / "src"
    style = (sources / "style.css").read_text()
    assert set(re.findall(r"var\(--(\w+)\)", style)) <= {*PALETTE.ink, "clips"}
    for path in sources.rglob("*"):
        if path.is_file():
            assert re.findall(r"#[0-9a-f]{6}\b", path.read_text()) == [], path.name


def test_a_team_that_is_named_after_a_colour_gets_it():
    looks = looks_of(["cogs_green", "cogs_blue", "Team Red", CLIPS, "others"])
    colours = {name: next((c for c, look in PALETTE.teams.items() if look is looks[name]), CLIPS) for name in looks}
    assert colours == {
        "cogs_green": "green", "cogs_blue": "blue", "Team Red": "red", CLIPS: CLIPS, "others": "orange",
    }  # fmt: skip


@given(st.lists(st.text(max_size=12) | st.sampled_from(["cogs_blue", "blue", CLIPS]), unique=True, max_size=32))
def test_looks_depend_on_the_names_alone_and_differ_as_long_as_there_are_enough(owners: list[str]):
    looks = looks_of(owners)
    assert set(looks) == set(owners) and looks == looks_of(reversed(owners))
    if len(owners) <= len(PALETTE.teams):
        assert len({look.sign for look in looks.values()}) == len(owners)
