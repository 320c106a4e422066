"""The page on phones, small windows and enlarged: nothing is cut off, the map comes first, fingers do what keys do."""

from typing import Any

import pytest

from metta.view.live import LiveMatch
from metta.view.page import write_replay_page
from tests.view.conftest import make_match, opened, play, serving, until

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
SIZES = {
    "a phone": PHONE,
    "a small window": {"width": 800, "height": 500},
    "a small notebook": {"width": 1024, "height": 700},
    "enlarged twice": {"width": 640, "height": 400, "device_scale_factor": 2},
}
# Words and controls that stick out of the page to the right, or out of a box that hides them.
CUT_OFF = """() => [...document.querySelectorAll("button, select, .app b, h1, .clock, .num")].filter((each) => {
    const box = each.getBoundingClientRect();
    let room = {left: 0, right: innerWidth};
    for (let up = each.parentElement; up; up = up.parentElement)
        if (getComputedStyle(up).overflowX !== "visible" && up !== document.body && up !== document.documentElement) {
            const edge = up.getBoundingClientRect();
            room = {left: Math.max(room.left, edge.left), right: Math.min(room.right, edge.right)};
        }
    return box.width > 0 && (box.left < room.left - 1 || box.right > room.right + 1);
}).map((each) => each.outerHTML.slice(0, 100))"""
TOO_SMALL = """() => [...document.querySelectorAll("button, select")].filter((each) => {
    const box = each.getBoundingClientRect();
    return box.width > 0 && (box.width < 44 || box.height < 44);
}).map((each) => each.outerHTML.slice(0, 100))"""


@pytest.fixture(scope="module")
def two_teams(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("small")
    game = play(make_match(steps=60, variants=["multi_team"]), folder / "two.replay")
    write_replay_page(game.path, folder / "two.html")
    return (folder / "two.html").as_uri()


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_cut_off_and_the_map_comes_first(size: str, chromium: Any, two_teams: str):
    with opened(chromium, **SIZES[size]) as page:
        page.goto(two_teams)
        page.click("#play")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(CUT_OFF) == []
        page.click("[data-cog='12']")
        assert page.evaluate(CUT_OFF) == []
        page.evaluate("scrollTo(0, 0)")
        box = page.locator("#map").bounding_box()
        assert box["y"] == 0 and box["height"] >= 0.5 * SIZES[size]["height"]
        left, top = page.evaluate("viewer.measured.pixel(0)")
        assert 0 <= left <= box["width"] and 0 <= top <= box["height"]


def test_the_whole_map_fits_an_enlarged_page(chromium: Any, two_teams: str):
    with opened(chromium, **SIZES["enlarged twice"]) as page:
        page.goto(two_teams)
        page.click("#play")
        box = page.locator("#map").bounding_box()
        places = [page.evaluate(f"viewer.measured.pixel({agent})") for agent in range(16)]
        assert all(0 <= x <= box["width"] and 0 <= y <= box["height"] for x, y in places)


def test_two_fingers_zoom_the_map_and_one_still_chooses_a_cog(chromium: Any, two_teams: str):
    with opened(chromium, **PHONE) as page:
        page.goto(two_teams)
        page.click("#play")
        touch = page.context.new_cdp_session(page)

        def fingers(kind: str, *places: tuple[float, float]) -> None:
            points = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(places)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        def gap() -> float:
            one, other = (page.evaluate(f"viewer.measured.pixel({agent})") for agent in (0, 15))
            return abs(one[1] - other[1])

        before = gap()
        fingers("touchStart", (150, 300))
        fingers("touchStart", (150, 300), (250, 300))
        for wide in (20, 40, 50):
            fingers("touchMove", (150 - wide, 300), (250 + wide, 300))
        fingers("touchEnd")
        assert gap() == pytest.approx(2 * before, rel=0.05)
        assert page.evaluate("visualViewport.scale") == 1
        page.click("[aria-label='whole map']")
        page.touchscreen.tap(*page.evaluate("viewer.measured.pixel(3)"))
        until(page, "document.querySelector('.inspector h2')?.textContent.startsWith('cog ')")


def test_fingers_take_a_cog_over_and_move_it(chromium: Any):
    live = LiveMatch(make_match(uri="noop", steps=60), playing=False)
    with serving(live) as server, opened(chromium, **PHONE) as page:
        page.goto(server.address)
        page.tap("[data-cog='3']")
        assert page.evaluate(TOO_SMALL) == []
        page.tap(".pad button")
        assert page.evaluate(TOO_SMALL) == []
        row, col = live.match.batch.positions()[0, 3].tolist()
        for k, name in enumerate(("south", "east", "wait")):
            page.tap(f".pad [aria-label='{name}']")
            until(page, f"viewer.step.value === {k + 1}")
        assert live.match.batch.positions()[0, 3].tolist() == [row + 1, col + 1]
        page.select_option(".pad select", "2")
        until(page, "viewer.step.value === 4")
        assert live.match.batch.vibes()[0, 3] == 2
        page.tap(".pad >> text=Give back")
        assert page.locator(".pad .ways").count() == 0
