"""The page and the report for who uses a keyboard, a screen reader, or eyes that want contrast."""

from pathlib import Path
from typing import Any

import pytest

from metta.eval.contest import run_contest
from metta.eval.settings import ContestSettings
from metta.view.live import LiveMatch
from metta.view.page import write_replay_page
from metta.view.palette import PALETTE, looks_of
from metta.view.report.page import write_report
from tests.view.conftest import Played, make_match, opened, serving, until

pytestmark = pytest.mark.browser
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
GROUNDS = ("dark", "light")


def faults(page: Any) -> list[str]:
    """What axe-core calls serious or critical."""
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.fixture
def replay(played: Played, tmp_path: Path) -> str:
    write_replay_page(played.path, tmp_path / "arena.html")
    return (tmp_path / "arena.html").as_uri()


@pytest.mark.parametrize("ground", GROUNDS)
def test_axe_finds_nothing_serious_in_a_replay(ground: str, chromium: Any, replay: str):
    with opened(chromium, color_scheme=ground) as page:
        page.goto(replay)
        page.click("#play")
        page.evaluate("viewer.seek(600)")
        assert page.evaluate("document.documentElement.style.colorScheme") == ground
        assert faults(page) == []
        for step in ("[data-tab='events']", "[data-tab='legend']", "[data-tab='cogs']", "[data-cog='3']"):
            page.click(step)
            assert faults(page) == [], step
        page.keyboard.press("?")
        assert faults(page) == []


def test_axe_finds_nothing_serious_in_a_live_match_on_either_ground(page: Any):
    live = LiveMatch(make_match(steps=50), playing=False)
    with serving(live) as server:
        page.goto(server.address)
        page.click("[data-cog='0']")
        page.click("#take")
        for _ in GROUNDS:
            assert faults(page) == []
            page.click("#theme")


@pytest.mark.parametrize("ground", GROUNDS)
def test_axe_finds_nothing_serious_in_a_report(ground: str, chromium: Any, tmp_path: Path):
    path = tmp_path / "report.html"
    settings = ContestSettings(policies=["role,proportion=5", "noop,proportion=3"], cogs=8, episodes=2, steps=60)
    write_report(run_contest(settings), path)
    with opened(chromium, color_scheme=ground) as page:
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
        assert faults(page) == []
        page.check("#ground")
        shown = page.evaluate("getComputedStyle(document.documentElement).colorScheme")
        assert shown == GROUNDS[1 - GROUNDS.index(ground)] and faults(page) == []


def test_the_ground_that_was_chosen_is_kept(page: Any, replay: str):
    page.goto(replay)
    before = page.evaluate("document.documentElement.style.colorScheme")
    page.click("#theme")
    page.reload()
    page.wait_for_selector("#map")
    assert {before, page.evaluate("document.documentElement.style.colorScheme")} == set(GROUNDS)


def test_rows_and_events_are_reached_and_pressed_by_keys(page: Any, replay: str):
    page.goto(replay)
    page.click("#play")
    page.evaluate("viewer.seek(300)")
    page.focus("[data-cog='4']")
    name = page.get_attribute("[data-cog='4']", "aria-label")
    assert name.startswith("cog 4, ") and "hp " in name and "score " in name
    page.keyboard.press("Space")
    assert page.inner_text(".inspector h2") == "cog 4" and not page.evaluate("viewer.playing.value")
    page.focus(".sight")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".observation h4").startswith("cell -1, +1") and page.evaluate("viewer.step.value") == 300
    page.focus("[data-tab='events']")
    page.keyboard.press("Enter")
    assert page.get_attribute("[data-tab='events']", "aria-pressed") == "true"
    for _ in ("legend", "the list, which scrolls", "its first event"):
        page.keyboard.press("Tab")
    step = page.evaluate("document.activeElement.querySelector('.when').textContent")
    page.keyboard.press("Enter")
    until(page, f"viewer.step.value === {step}")
    page.focus("#curve")
    page.keyboard.press("End")
    assert page.get_attribute("#curve", "aria-valuenow") == "1000"


def test_the_space_bar_presses_what_has_the_focus_and_else_pauses(page: Any, replay: str):
    page.goto(replay)
    page.focus("[data-tab='legend']")
    page.keyboard.press("Space")
    assert page.evaluate("viewer.playing.value") and page.locator(".legend").count() == 1
    page.click("[data-tab='cogs']")  # with the mouse: the keys are the page's own again
    page.keyboard.press("Space")
    assert not page.evaluate("viewer.playing.value")


def test_a_question_mark_opens_the_list_of_keys(page: Any, replay: str):
    page.goto(replay)
    page.click("#play")
    step = page.evaluate("viewer.step.value")
    page.keyboard.press("?")
    assert "play or pause" in page.inner_text("#keys")
    page.keyboard.press(".")  # the page below hears nothing
    page.keyboard.press("?")
    until(page, "!document.querySelector('#keys')")
    assert page.evaluate("viewer.step.value") == step
    page.click("#help")
    page.wait_for_selector("#keys[open]")
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('#keys')")


@pytest.mark.parametrize(
    "teams", [["cogs_green", "cogs_blue"], ["cogs"], ["b", "a"], ["Blue 2", "blue"], [f"t{k}" for k in range(11)]]
)
def test_the_page_gives_teams_the_colours_that_the_terminal_gives(teams: list[str], page: Any, replay: str):
    page.goto(replay)
    names = sorted([*teams, "clips"])
    looks = looks_of(names)
    assert page.evaluate("(names) => viewer.looksOf(names)", names) == [looks[name].model_dump() for name in names]
    assert PALETTE.clips in looks.values()
