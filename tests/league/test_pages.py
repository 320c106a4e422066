"""The pages, in a browser: signing in, the leaderboard, a match with its replay, uploading."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metta.league.seasons import DEFAULT
from tests.league.conftest import PASSWORD, MakeLeague, bundle, listening
from tests.view.conftest import opened

NAME = "<b>bold</b>"


@pytest.fixture
def address(make_league: MakeLeague) -> Iterator[str]:
    """A league in which a season has been played."""
    playground = make_league()
    playground.upload("anna", "my-policy", bundle("role"))
    playground.upload("bert", NAME, bundle("random"))
    playground.work()
    with listening(playground) as address:
        yield address


@pytest.mark.browser
def test_a_person_signs_in_looks_around_and_uploads(address: str, tmp_path: Path, chromium: Any):
    (tmp_path / "bundle.zip").write_bytes(bundle("miner"))
    with opened(chromium, width=390, height=844) as page:
        page.goto(f"{address}/upload")
        page.fill("[name=name]", "anna")
        page.fill("[name=password]", PASSWORD)
        page.press("[name=password]", "Enter")
        page.wait_for_selector("h1 >> text=Upload a policy")
        page.fill("[name=name]", "miners")
        page.set_input_files("[name=file]", tmp_path / "bundle.zip")
        page.click("main button >> text=Upload")
        page.wait_for_selector("h1 >> text=miners")
        page.goto(f"{address}/seasons/{DEFAULT}")
        names = page.locator("#live tbody td.name")
        page.click("#live th button >> text=Policy")
        assert names.all_inner_texts() == [f"{NAME}:v1", "my-policy:v1"]
        page.click("#live th button >> text=Policy")
        assert names.all_inner_texts() == ["my-policy:v1", f"{NAME}:v1"]
        assert page.locator("#live svg.interval").count() == 2 and page.locator("#live tr.own").count() == 1
        page.click("table >> nth=1 >> a >> nth=0")
        page.frame_locator("iframe").first.locator("canvas").first.wait_for()
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
