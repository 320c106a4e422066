"""The live view as a person meets it: the command in a terminal, keys, the screen."""

import re
import shlex
import sys
from collections.abc import Iterator

import pytest

from tests.view.pseudo_terminal import PLAY, PseudoTerminal

NOOP = ("policy_uri=noop", "max_steps=100_000")


@pytest.fixture(scope="module")
def shared() -> Iterator[PseudoTerminal]:
    """A view that several tests use one after the other."""
    terminal = PseudoTerminal(*PLAY, *NOOP, size=(100, 30))
    terminal.wait(lambda text: step(text) > 0)
    yield terminal
    terminal.close()


@pytest.fixture
def view(shared: PseudoTerminal) -> PseudoTerminal:
    """Paused, at speed 1, following cog 0, the picture filling 100 x 30."""
    if "paused" not in shared.settled(0.1):
        shared.type(" ")
    shared.resize(100, 30)
    shared.type("0")
    shared.wait(lambda text: "paused" in text and "-- cog 0" in text and "q quit" in text)
    return shared


def step(text: str) -> int:
    found = re.search(r"^step (\d+)/", text, re.MULTILINE)
    return int(found[1]) if found else -1


def place(text: str) -> tuple[int, int]:
    """Row and column of the followed cog."""
    found = re.search(r" at (\d+),(\d+)", text)
    assert found, text
    return int(found[1]), int(found[2])


def map_of(text: str) -> str:
    """The left half of the screen, where there is only map, without header and footer."""
    return "\n".join(line[:40] for line in text.splitlines()[1:-1])


def test_space_stops_the_steps_and_lets_them_go_on(view: PseudoTerminal):
    at = step(view.settled())
    assert step(view.settled(1)) == at
    view.type(" ")
    view.wait(lambda text: step(text) > at + 1 and "paused" not in text)


@pytest.mark.parametrize("key", [".", "n"])
def test_a_single_step_is_one_step_and_pauses(view: PseudoTerminal, key: str):
    at = step(view.text)
    view.type(key)
    view.wait(lambda text: step(text) == at + 1)
    assert step(view.settled()) == at + 1 and "paused" in view.text


def test_speed_doubles_and_halves_between_a_quarter_and_64(view: PseudoTerminal):
    view.type("+" * 9)
    view.wait(lambda text: "64x" in text)
    view.type("-" * 12)
    view.wait(lambda text: "0.25x" in text)
    view.type("++")
    view.wait(lambda text: "paused 1x" in text)


def test_at_speed_64_hundreds_of_steps_pass_in_a_second(view: PseudoTerminal):
    at = step(view.text)
    view.type("++++++ ")
    view.settled(2)
    view.type(" ------")
    assert step(view.wait(lambda text: "paused 1x" in text)) - at > 400


def test_tab_and_digits_choose_the_cog_that_the_panel_and_the_map_show(view: PseudoTerminal):
    first = map_of(view.text)
    view.type("\t")
    assert "@1" in view.wait(lambda text: "-- cog 1" in text)
    view.type("\x1b[Z\x1b[Z")
    assert map_of(view.wait(lambda text: "-- cog 7" in text)) != first
    view.type("5")
    view.wait(lambda text: "-- cog 5" in text and ">@5" in text)
    view.type("9")
    view.wait(lambda text: "there is no cog 9" in text)


def test_arrows_and_letters_move_the_map_and_c_and_f_bring_it_back(view: PseudoTerminal):
    followed = map_of(view.text)
    view.type("\x1b[A" * 4)
    up = map_of(view.wait(lambda text: map_of(text) != followed))
    view.type("jjjj")
    view.wait(lambda text: map_of(text) == followed)
    view.type("\x1bOD" * 4)
    view.wait(lambda text: map_of(text) not in (up, followed))
    view.type("f")
    view.wait(lambda text: map_of(text) == followed)
    view.type("lllllc")
    view.wait(lambda text: "🏠" in map_of(text))


def test_a_taken_cog_goes_where_it_is_told_and_stays_where_it_is_not(view: PseudoTerminal):
    view.type("w")
    view.wait(lambda text: "t takes the followed cog over first" in text)
    view.type("t")
    row, col = place(view.wait(lambda text: "yours" in text))
    at = step(view.text)
    moved = set()
    for key, (down, right) in {"w": (-1, 0), "s": (1, 0), "a": (0, -1), "d": (0, 1)}.items():
        view.type(key)
        at += 1
        now = place(view.wait(lambda text, at=at: step(text) == at))
        if now != (row, col):
            assert now == (row + down, col + right)
            moved.add(key)
        row, col = now
    assert moved, "at least one way is open"
    view.type(".")
    assert place(view.wait(lambda text: step(text) == at + 1)) == (row, col)
    view.type("t")
    view.wait(lambda text: "yours" not in text)


def test_a_taken_cog_shows_the_next_vibe(view: PseudoTerminal):
    view.type("tv")
    view.wait(lambda text: "vibe heart" in text)
    view.type("t")


def test_help_lists_the_keys_and_goes_away(view: PseudoTerminal):
    picture = view.settled()
    view.type("?")
    text = view.wait(lambda text: "page 1 of 1" in text)
    assert "pause, go on" in text and "junction: clips" in text
    view.type("?")
    view.wait(lambda text: text == picture)


def test_ctrl_l_draws_what_something_else_has_overwritten(view: PseudoTerminal):
    picture = view.settled()
    view.emulator.clear()
    view.type("\x0c")
    view.wait(lambda text: text == picture)


@pytest.mark.parametrize("size", [(40, 12), (200, 50), (80, 24)])
def test_a_resized_terminal_is_filled_anew(view: PseudoTerminal, size: tuple[int, int]):
    view.resize(*size)
    lines = view.wait(lambda text: "step" in text and "q quit" in text.splitlines()[-1]).splitlines()
    assert len(lines) == size[1] and all(lines[1:]), "no line between header and footer is empty"


# How it ends.


def started(*command: str, size: tuple[int, int] = (80, 24)) -> PseudoTerminal:
    terminal = PseudoTerminal(*command, size=size)
    terminal.wait(lambda text: step(text) > 0)
    assert terminal.emulator.alternate and terminal.emulator.cursor_hidden and terminal.attributes() != terminal.before
    return terminal


def restored(terminal: PseudoTerminal) -> bool:
    screen = terminal.emulator
    return terminal.attributes() == terminal.before and not screen.alternate and not screen.cursor_hidden


def test_the_last_picture_stays_until_q_then_comes_the_table():
    terminal = started(*PLAY, "policy_uri=noop", "max_steps=5", size=(120, 30))
    terminal.wait(lambda text: "step 5/5  ended" in text)
    terminal.type(".")
    terminal.wait(lambda text: "the episode has ended" in text)
    terminal.type("q")
    assert terminal.exit_code() == 0 and restored(terminal)
    assert "hearts gained" in terminal.text
    terminal.close()


def test_ctrl_z_gives_the_terminal_back_until_the_view_goes_on_and_ctrl_c_for_good():
    terminal = started("bash", "-c", f"set -m; {shlex.join([*PLAY, *NOOP])}; read -p stopped; fg")
    terminal.type(" ")
    terminal.wait(lambda text: "paused" in text)
    terminal.type("\x1a")
    terminal.wait(lambda text: "stopped" in text)
    assert restored(terminal)
    terminal.type("\n")
    terminal.wait(lambda text: "paused" in text)
    terminal.type("\x03")
    assert terminal.exit_code() == 130 and restored(terminal)
    terminal.close()


def test_a_terminated_view_leaves_the_terminal_as_before():
    terminal = started(*PLAY, *NOOP)
    terminal.process.terminate()
    assert terminal.exit_code() == 143 and restored(terminal)
    terminal.close()


def test_a_policy_that_fails_leaves_the_terminal_as_before():
    terminal = started(sys.executable, "-m", "tests.view.watch_failing_policy")
    assert terminal.exit_code() == 1 and restored(terminal)
    assert "no more ideas" in terminal.text
    terminal.close()


def test_without_a_keyboard_the_episode_plays_to_its_end():
    command = shlex.join([*PLAY, "policy_uri=noop", "max_steps=12"])
    terminal = PseudoTerminal("bash", "-c", f"{command} < /dev/null")
    terminal.wait(lambda text: "no keys: standard input is no terminal" in text)
    assert terminal.exit_code() == 0 and restored(terminal)
    terminal.close()
