"""The pages, in a browser: signing in, the leaderboard, a match with its replay, uploading."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from metta.league.seasons import DEFAULT
from tests.league.conftest import PASSWORD, MakeLeague, Playground, bundle, listening
from tests.view.conftest import opened, until

NAME = "<b>bold</b>"
LONG = "W" * 64
PHONE = {"width": 390, "height": 844}


@dataclass
class Open:
    """A league in which a season has been played, and its address."""

    playground: Playground
    address: str

    def sign_in(self, page: Any, place: str = "/") -> None:
        page.goto(f"{self.address}{place}")
        if "/sign-in" not in page.url:
            page.goto(f"{self.address}/sign-in?next={place}")
        page.fill("[name=name]", "anna")
        page.fill("[name=password]", PASSWORD)
        page.press("[name=password]", "Enter")
        page.wait_for_selector("text=Sign out anna")


@pytest.fixture
def league(make_league: MakeLeague) -> Iterator[Open]:
    playground = make_league()
    playground.upload("anna", "my-policy", bundle("role"))
    playground.upload("bert", NAME, bundle("random"))
    playground.upload("bert", LONG, bundle("miner"))
    playground.work()
    with listening(playground) as address:
        yield Open(playground, address)


def shown(page: Any) -> list[str]:
    """The leaderboard's policies from top to bottom."""
    return page.locator("#lines td.name:nth-child(2)").all_inner_texts()


@pytest.mark.browser
def test_a_person_signs_in_looks_around_and_uploads(league: Open, tmp_path: Path, chromium: Any):
    (tmp_path / "bundle.zip").write_bytes(bundle("scout"))
    with opened(chromium, **PHONE) as page:
        league.sign_in(page, "/upload")
        page.fill("[name=name]", "scouts")
        page.set_input_files("[name=file]", tmp_path / "bundle.zip")
        page.click("main button >> text=Upload")
        page.wait_for_selector("h1 >> text=scouts")
        assert page.inner_text("#state .badge") == "validating"
        league.playground.work()
        until(page, "document.querySelector('#state .badge').textContent === 'valid'", 30)
        page.goto(f"{league.address}/seasons/{DEFAULT}")
        assert page.locator("#live svg.interval").count() == 4 and page.locator("#live tr.own").count() == 2
        page.click("text=All matches")
        page.click("#lines a >> nth=0")
        page.frame_locator("iframe").first.locator("canvas").first.wait_for()


@pytest.mark.browser
def test_the_leaderboard_is_sorted_by_its_columns_also_without_a_script(league: Open, chromium: Any):
    upwards = [f"{NAME}:v1", "my-policy:v1", f"{LONG}:v1"]
    for script in (True, False):
        with opened(chromium, java_script_enabled=script) as page:
            page.goto(f"{league.address}/seasons/{DEFAULT}")
            page.click("#live th button >> text=Policy")
            page.wait_for_url("**sort=policy*")
            assert shown(page) == upwards
            page.focus("#live th button >> text=Policy")
            page.keyboard.press("Enter")
            page.wait_for_url("**sort=-policy*")
            assert shown(page) == upwards[::-1]
            assert page.get_attribute("#live th[aria-sort]", "aria-sort") == "descending"
            page.go_back()
            assert shown(page) == upwards


@pytest.mark.browser
def test_a_leaderboard_stays_new_and_sorted_while_the_keyboard_is_in_it(league: Open, chromium: Any):
    with opened(chromium) as page:
        page.goto(f"{league.address}/seasons/{DEFAULT}?sort=-policy")
        page.locator("#lines a", has_text="my-policy").focus()
        league.playground.upload("carl", "another", bundle("scout"))
        league.playground.work()
        until(page, "document.querySelectorAll('#lines tr').length === 4", 30)
        assert shown(page) == [f"{LONG}:v1", "my-policy:v1", "another:v1", f"{NAME}:v1"]
        assert page.evaluate("document.activeElement.textContent") == "my-policy:v1"
        assert "4 policies" in page.inner_text("#state")


@pytest.mark.browser
def test_a_file_that_is_dropped_and_refused_is_told_of_and_can_be_replaced(league: Open, tmp_path: Path, chromium: Any):
    drop = """names => {
        const dropped = new DataTransfer();
        names.forEach((name) => dropped.items.add(new File(["no zip file"], name)));
        const event = new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true });
        document.querySelector(".drop").dispatchEvent(event);
    }"""
    (tmp_path / "bundle.zip").write_bytes(bundle("scout"))
    context = chromium.new_context()
    page = context.new_page()
    league.sign_in(page, "/upload")
    page.fill("[name=name]", "scouts")
    page.select_option("[name=season]", "")
    page.evaluate(drop, ["a.zip", "b.zip"])
    assert page.inner_text(".problem") == "one file at a time"
    page.evaluate(drop, ["a.zip"])
    page.click("main button >> text=Upload")
    page.wait_for_selector(".problem >> text=no zip file")
    assert page.input_value("[name=name]") == "scouts" and page.input_value("[name=season]") == ""
    page.set_input_files("[name=file]", tmp_path / "bundle.zip")
    page.click("main button >> text=Upload")
    page.wait_for_selector("h1 >> text=scouts")
    assert page.inner_text("#changes") == "It is in no season."
    context.close()


@pytest.mark.browser
def test_no_page_is_wider_than_a_phone(league: Open, chromium: Any):
    lines = league.playground.get(f"/tournament/seasons/{DEFAULT}/leaderboard")
    [match, *_] = league.playground.get(f"/tournament/seasons/{DEFAULT}/matches")
    policies = [f"/policies/{line['policy']['id']}" for line in lines]
    own = ["/me", "/upload", "/tokens", "/tokens/cli?callback=http://127.0.0.1:5555/"]
    with opened(chromium, **PHONE) as page:
        league.sign_in(page)
        for place in ["/", f"/seasons/{DEFAULT}", f"/seasons/{DEFAULT}/matches", *policies, *own, "/docs"]:
            page.goto(f"{league.address}{place}")
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), place
            assert page.locator("h1").count() == 1, place
        page.goto(f"{league.address}/matches/{match['id']}")
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
