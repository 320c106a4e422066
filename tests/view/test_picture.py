"""The picture fits any terminal, and shows what there is."""

import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from metta.game.resources import CLIPS
from metta.view.events import Event, Watcher
from metta.view.palette import PALETTE
from metta.view.scene import Scene, scene_of
from metta.view.terminal import symbols
from metta.view.terminal.keys import decode
from metta.view.terminal.picture import View, draw, help_pages
from metta.view.terminal.text import Line, width_of
from tests.view.conftest import Start
from tests.view.test_palette import contrast

TEAMS = {"red": {"short_name": "r", "num_agents": 2}, "blue\x1b[2J": {"short_name": "b", "num_agents": 13}}


@pytest.fixture(scope="module")
def scenes(start: Start) -> list[tuple[Scene, list[Event]]]:
    """The arena with a policy that tells what it does, machina_1, and two teams, one of a hostile name."""
    seen = []
    for match in (start("cogsguard"), start(name="cogsguard_machina_1.basic"), start(teams=TEAMS)):
        watcher, events = Watcher(match), []
        for _ in range(120):
            match.advance()
            events += watcher.look()
        seen.append((scene_of(match), events))
    return seen


def text_of(lines: list[Line]) -> str:
    return "\n".join("".join(segment.text for segment in line) for line in lines)


views = st.builds(
    View,
    agent=st.integers(0, 7),
    camera=st.none() | st.tuples(st.integers(0, 59), st.integers(0, 59)),
    playing=st.booleans(),
    speed=st.sampled_from([0.25, 1, 64]),
    taken=st.booleans(),
    help=st.sampled_from([0, 0, 0, 1, 2, 9]),
    note=st.sampled_from(["", "", "no keys: standard input is no terminal"]),
    hints=st.booleans(),
    pictures=st.booleans(),
)


@given(view=views, which=st.integers(0, 2), width=st.integers(1, 230), height=st.integers(1, 80))
def test_a_picture_is_exactly_as_large_as_the_terminal(
    scenes: list[tuple[Scene, list[Event]]], view: View, which: int, width: int, height: int
):
    scene, view.events = scenes[which]
    lines = draw(scene, view, width, height)
    assert len(lines) == height
    assert {width_of(line) for line in lines} == {width}
    text = text_of(lines).replace("\n", "")
    assert text.isprintable()
    assert not [letter for letter in text if unicodedata.east_asian_width(letter) == "A" or cell_len(letter) == 0]
    assert view.pictures or text.isascii()


@pytest.mark.parametrize("pictures", [True, False])
def test_every_sign_is_two_columns_wide_and_unlike_the_others(pictures: bool):
    signs = [sign for sign, _, _ in symbols.legend([f"team {k}" for k in range(8)], pictures)]
    assert {cell_len(sign) for sign in signs} == {2} and len(set(signs)) == len(signs)


def test_at_40_by_12_the_cog_and_the_junctions_are_still_told(scenes: list[tuple[Scene, list[Event]]]):
    text = text_of(draw(scenes[0][0], View(agent=2), 40, 12))
    assert re.match(r"step 120/200  > 1x  score \d", text)
    for part in ("hp ", "energy ", "neutral ", "cogs ", "clips ", "? help", "q quit"):
        assert part in text
    assert sum(". . . " in line for line in text.splitlines()) >= 6


def test_at_80_by_24_all_panels_are_there(scenes: list[tuple[Scene, list[Event]]]):
    scene, events = scenes[0]
    text = text_of(draw(scene, View(agent=2, events=events), 80, 24))
    for cog in scene.cogs:
        assert symbols.cog_sign(cog) in text
    for part in (
        "-- cog 2",
        "-- teams",
        "-- events",
        "carbon",
        "silicon",
        f"task {scene.cogs[2].task}",
        events[-1].text[:20],
    ):
        assert part in text, part


def test_more_cogs_than_lines_scroll_with_the_followed_one(scenes: list[tuple[Scene, list[Event]]]):
    text = text_of(draw(scenes[2][0], View(agent=13), 80, 20))
    assert ">🔵 @d" in text and "@0 none" not in text


def test_the_map_shows_objects_where_they_are_and_whose_they_are(scenes: list[tuple[Scene, list[Event]]]):
    scene = scenes[0][0]
    rows, cols = scene.walls.shape
    lines = text_of(draw(scene, View(hints=False), 2 * cols + 67, rows + 1)).splitlines()[1:]
    cogs = {(cog.row, cog.col): symbols.cog_sign(cog) for cog in scene.cogs}
    shown = {thing.owner for thing in scene.things if thing.kind == "junction"}
    assert CLIPS in shown and "cogs" in shown
    target = scene.cogs[0].target
    for thing in scene.things:
        sign, _ = symbols.thing_sign(thing, ["cogs"], True)
        if (thing.row, thing.col) not in cogs:
            assert cell(lines[thing.row], thing.col) == sign
    for (row, col), sign in cogs.items():
        assert cell(lines[row], col) == sign
    assert target is not None and cell(lines[target[0]], target[1]) != symbols.FLOOR
    assert cell(lines[0], 0) == symbols.WALL


def cell(line: str, col: int) -> str:
    """The two columns of a map cell."""
    at = 0
    for index, letter in enumerate(line):
        if at == 2 * col:
            return letter if cell_len(letter) == 2 else line[index : index + 2]
        at += cell_len(letter)
    raise AssertionError(f"the line ends before column {col}")


def styles(lines: list[Line]) -> list[tuple[str, str, str]]:
    """Text, colour and background of every piece."""
    found = [(segment.text, segment.style) for line in lines for segment in line if segment.style]
    return [
        (text, style.color.get_truecolor().hex, style.bgcolor.get_truecolor().hex)
        for text, style in found
        if style.color and style.bgcolor
    ]


def test_areas_are_tinted_with_the_colours_of_who_rules_them(scenes: list[tuple[Scene, list[Event]]]):
    def backgrounds(scene: Scene) -> set[str]:
        return {ground for _, _, ground in styles(draw(scene, View(), 220, 70))}

    scene = scenes[0][0]
    areas = {
        symbols.area_style([PALETTE.teams["blue"].dark]).removeprefix(" on "),
        symbols.area_style([PALETTE.clips.dark]).removeprefix(" on "),
    }
    assert areas <= backgrounds(scene)
    assert not areas & backgrounds(replace(scene, things=[]))


def test_the_colours_of_teams_are_those_of_the_page(scenes: list[tuple[Scene, list[Event]]]):
    scene = scenes[2][0]
    shown = {(text, colour) for text, colour, _ in styles(draw(scene, View(pictures=False), 220, 70))}
    assert {("(1", PALETTE.teams["red"].dark), ("(2", PALETTE.teams["blue"].dark)} <= shown


def test_every_word_can_be_read_on_its_ground(scenes: list[tuple[Scene, list[Event]]]):
    for scene, events in scenes:
        for view in (View(events=events), View(help=1), View(taken=True, note="a note"), View(pictures=False)):
            for text, colour, ground in styles(draw(scene, view, 220, 70)):
                if any(letter.isalpha() for letter in text):
                    least = 4.5 if len(text.strip()) > 2 else 3  # signs
                    assert contrast(colour, ground) >= least, (text, colour, ground)


def test_help_names_every_key_on_as_many_pages_as_it_takes(scenes: list[tuple[Scene, list[Event]]]):
    pages = help_pages(scenes[0][0], View(), 40, 12)
    assert len(pages) > 1
    text = "\n".join(text_of(page) for page in pages)
    for part in ("space", "w a s d", "tab", "quit", "hub", "germanium", "junction: clips"):
        assert part in text


@pytest.mark.parametrize(
    ("typed", "names", "rest"),
    [
        ("a1 ", ["a", "1", " "], ""),
        ("\x1b[A\x1bOB\x1b[1;5C", ["up", "down", "right"], ""),
        ("\t\x1b[Z", ["tab", "backtab"], ""),
        ("q\x1b[", ["q"], "\x1b["),
        ("\x1b", [], "\x1b"),
        ("\x1bq", ["escape", "q"], ""),
        ("\x1b[5~\x1b[200~x", ["x"], ""),
        ("é漢", ["é", "漢"], ""),
    ],
)
def test_what_terminals_send_becomes_names_of_keys(typed: str, names: list[str], rest: str):
    assert decode(typed) == (names, rest)


@given(st.text(alphabet=st.sampled_from("\x1b[O0;ABZ~q \t\x00"), max_size=20))
def test_no_input_of_a_terminal_is_too_strange(typed: str):
    names, rest = decode(typed)
    assert all(names) and typed.endswith(rest)
