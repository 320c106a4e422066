"""The page in a real browser, following a match as it is played and taking part in it."""

from pathlib import Path
from typing import Any

import pytest

from metta.view.live import LiveMatch
from tests.view.conftest import make_match, serving, until

pytestmark = pytest.mark.browser


def test_it_plays_as_soon_as_it_is_watched(page: Any):
    with serving(LiveMatch(make_match(steps=200))) as server:
        page.goto(server.address)
        until(page, "viewer.step.value > 3")
        assert "live" in page.inner_text(".mark")
        page.select_option("#speed", "64")
        until(page, "viewer.step.value === 200")
        assert page.inner_text(".mark") == "ended"


def test_a_paused_match_goes_on_step_by_step(page: Any):
    live = LiveMatch(make_match(steps=100), playing=False)
    with serving(live) as server:
        page.goto(server.address)
        page.wait_for_selector("#map")
        for step in (1, 2, 3):
            page.keyboard.press(".")
            until(page, f"viewer.step.value === {step}")
        assert live.match.step == 3
        page.keyboard.press(",")
        until(page, "viewer.step.value === 2")
        assert live.match.step == 3
        page.keyboard.press("Space")
        until(page, "viewer.last.value > 5 && viewer.step.value > 5")


def test_the_keyboard_takes_a_cog_over(page: Any):
    live = LiveMatch(make_match(uri="noop", steps=100), playing=False)
    batch = live.match.batch

    def press(key: str) -> None:
        step = live.match.step
        page.keyboard.press(key)
        until(page, f"viewer.step.value === {step + 1}")

    with serving(live) as server:
        page.goto(server.address)
        page.wait_for_selector("#map")
        page.click("[data-cog='3']")
        page.click("#take")
        start = batch.positions()[0]
        moved = start.copy()
        for key, way in (("ArrowDown", (1, 0)), ("d", (0, 1)), ("w", (-1, 0)), ("ArrowLeft", (0, -1)), ("d", (0, 1))):
            press(key)
            moved[3] += way
        assert batch.successes()[0].all() and (batch.positions()[0] == moved).all()
        press("3")
        header = live.match.recording.header
        assert header.vibes[batch.vibes()[0, 3]] == header.vibes[2] and batch.vibes()[0, :3].tolist() == [0, 0, 0]
        page.keyboard.press("t")
        page.keyboard.press(".")
        until(page, "viewer.step.value === 7")
        assert (batch.positions()[0] == moved).all()


def test_who_takes_over_while_it_plays_holds_the_cog_still(page: Any):
    live = LiveMatch(make_match(steps=300))
    with serving(live) as server:
        page.goto(server.address)
        page.wait_for_selector("#map")
        page.click("[data-cog='0']")
        page.keyboard.press("t")
        until(page, "document.querySelector('#take').textContent.startsWith('Give back')")
        until(page, f"viewer.step.value > {live.match.step + 2}")
        held = live.match.batch.positions()[0, 0].tolist()
        until(page, f"viewer.step.value > {live.match.step + 4}")
        assert live.match.batch.positions()[0, 0].tolist() == held
        page.keyboard.press("Escape")
        until(page, f"viewer.step.value > {live.match.step + 8}")
        assert live.match.batch.positions()[0, 0].tolist() != held


def test_a_live_match_is_shared_as_a_replay_of_what_was_played(page: Any, tmp_path: Path):
    live = LiveMatch(make_match(steps=40))
    with serving(live) as server:
        page.goto(server.address)
        page.select_option("#speed", "64")
        until(page, "viewer.step.value === 40")
        with page.expect_download() as download:
            page.click("#share")
        download.value.save_as(tmp_path / "shared.html")
    page.goto((tmp_path / "shared.html").as_uri())
    page.wait_for_selector("#map")
    assert page.evaluate("viewer.last.value") == 40


def test_a_policy_that_fails_is_named_on_the_page(page: Any):
    match = make_match(uri="noop", steps=50)

    def fail(observations: object) -> None:
        raise ValueError("no idea")

    match.policy.step = fail  # pyright: ignore
    with serving(LiveMatch(match)) as server:
        page.goto(server.address)
        assert page.inner_text(".failure") == "the policy failed: ValueError: no idea"


def test_a_page_that_comes_later_or_anew_joins_where_the_match_is(page: Any):
    live = LiveMatch(make_match(steps=100), playing=False)
    with serving(live) as server:
        page.goto(server.address)
        page.wait_for_selector("#map")
        for step in (1, 2, 3):
            page.keyboard.press(".")
            until(page, f"viewer.step.value === {step}")
        page.reload()
        until(page, "viewer.step.value === 3")
        until(page, "document.querySelector('.notice') === null")  # it has the controls again
        page.keyboard.press(".")
        until(page, "viewer.step.value === 4")


def test_one_page_holds_the_controls_and_another_can_ask_for_them(page: Any):
    live = LiveMatch(make_match(steps=100), playing=False)
    with serving(live) as server:
        page.goto(server.address)
        page.wait_for_selector("#map")
        other = page.context.new_page()
        other.goto(server.address)
        other.wait_for_selector("#watching")
        assert other.is_disabled("#play") and other.is_disabled("#speed") and page.is_enabled("#play")
        for key in (".", " ", "+", "t"):
            other.keyboard.press(key)
        other.click("#watching button")
        page.click("#asked >> text=Keep")
        other.wait_for_selector("text=Ask for them")
        assert live.match.step == 0
        other.click("#watching button")
        page.click("#asked >> text=Hand over")
        page.wait_for_selector("#watching")
        other.keyboard.press(".")
        until(page, "viewer.last.value === 1")
        other.close()
        until(page, "document.querySelector('.notice') === null")


def test_without_its_server_the_page_goes_on_with_what_it_has(page: Any, chromium: Any, tmp_path: Path):
    tab = chromium.new_page(accept_downloads=True)  # which may complain that nobody answers
    live = LiveMatch(make_match(steps=400))
    with serving(live) as server:
        tab.goto(server.address)
        until(tab, "viewer.step.value > 20")
    tab.wait_for_selector("#lost")
    steps = live.match.step
    assert tab.inner_text("#lost").startswith("The match's server is gone") and tab.inner_text(".mark") == "offline"
    until(tab, f"viewer.step.value === {steps} && !viewer.playing.value")
    tab.keyboard.press("Home")
    tab.keyboard.press(".")
    until(tab, "viewer.step.value === 1")
    tab.click("#play")
    until(tab, "viewer.step.value > 3")
    with tab.expect_download() as download:
        tab.click("#share")
    download.value.save_as(tmp_path / "shared.html")
    tab.close()
    page.goto((tmp_path / "shared.html").as_uri())
    until(page, f"viewer.last.value === {steps}")
    shown = page.evaluate(f"Array.from(viewer.game.value.recording.state({steps}))")
    assert shown == live.match.recording.state.tolist()


def test_a_cog_that_was_taken_over_goes_where_the_map_is_clicked(page: Any):
    live = LiveMatch(make_match(uri="noop", steps=100), playing=False)
    batch = live.match.batch
    with serving(live) as server:
        page.goto(server.address)
        page.click("[data-cog='3']")
        page.click("#take")
        row, col = batch.positions()[0, 3].tolist()
        goal = [row - 2, col + 4]
        x, y = page.evaluate("([row, col]) => viewer.measured.cell(row, col)", goal)
        page.locator("#map").click(position={"x": x, "y": y})
        until(page, "viewer.step.value === 6")
        assert batch.positions()[0, 3].tolist() == goal
        hub = next(thing for thing in batch.objects(0) if thing["type"].endswith(":hub"))
        x, y = page.evaluate("([row, col]) => viewer.measured.cell(row, col)", [hub["row"], hub["col"]])
        page.locator("#map").click(position={"x": x, "y": y})
        distance = abs(hub["row"] - goal[0]) + abs(hub["col"] - goal[1])
        until(page, f"viewer.step.value >= {6 + distance}")
        at = batch.positions()[0, 3]
        assert abs(at[0] - hub["row"]) + abs(at[1] - hub["col"]) == 1
