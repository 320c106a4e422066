"""The page in a real browser, showing a replay: it needs nothing but itself and says what the game says."""

import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metta.eval.replay.file import parse_replay, read_replay
from metta.view.notebook import show_replay
from metta.view.page import replay_page, write_replay_page
from tests.eval.replay.test_file import with_header
from tests.view.conftest import Played, make_match, play, until

pytestmark = pytest.mark.browser
GLOBAL, NOTHING = 0xFE, 0xFF
CENTRED = """() => {
    const [x, y] = viewer.measured.pixel(6), map = document.querySelector("#map");
    return Math.hypot(x - map.clientWidth / 2, y - map.clientHeight / 2) < 9;
}"""


def at_step(page: Any, step: int) -> bool:
    until(page, f"viewer.step.value === {step}")
    return page.inner_text("#step") == str(step)


def open_replay(page: Any, data: bytes, folder: Path) -> None:
    """Open a replay as one HTML file and pause it."""
    file = folder / "page.html"
    file.write_text(replay_page(data))
    page.goto(file.as_uri())
    page.wait_for_selector("#map")
    page.click("#play")


@pytest.fixture
def arena(page: Any, played: Played, tmp_path: Path) -> Any:
    write_replay_page(played.path, tmp_path / "arena.html")
    page.goto((tmp_path / "arena.html").as_uri())
    page.wait_for_selector("#map")
    return page


def seen_tokens(page: Any, step: int, agent: int) -> list[list[int]]:
    """Tokens as the page works them out: place, feature, value; places as the engine writes them."""
    tokens = page.evaluate("([step, agent]) => viewer.game.value.observer.tokens(step, agent).tokens", [step, agent])
    places = [
        GLOBAL if token["cell"] is None else (token["cell"]["dr"] + 5) * 16 + token["cell"]["dc"] + 5
        for token in tokens
    ]
    return [[place, token["feature"], token["value"]] for place, token in zip(places, tokens, strict=True)]


def test_it_opens_within_a_second_and_plays_by_itself(arena: Any):
    milliseconds = []
    for _ in range(3):  # the best of three: other programs may hold up one
        arena.reload()
        until(arena, "viewer.step.value > 2")
        milliseconds.append(int(arena.evaluate("document.documentElement.dataset.ready")))
    assert min(milliseconds) < 1000


def test_the_space_bar_pauses_and_keys_step(arena: Any):
    arena.keyboard.press("Space")
    assert not arena.evaluate("viewer.playing.value")
    start = arena.evaluate("viewer.step.value")
    for key, change in ((".", 1), (",", -1), ("ArrowRight", 10), ("ArrowLeft", -10)):
        arena.keyboard.press(key)
        start += change
        assert at_step(arena, start)


def test_it_plays_at_64_times_the_speed_to_the_end(arena: Any):
    arena.select_option("#speed", "64")
    assert at_step(arena, 1000)
    until(arena, "!viewer.playing.value")
    assert "played" not in arena.inner_text(".top")


def test_the_curve_scrubs(arena: Any, played: Played):
    arena.click("#play")
    box = arena.locator("#curve").bounding_box()
    middle = box["x"] + 10 + (box["width"] - 20) / 2, box["y"] + box["height"] / 2
    arena.mouse.move(*middle)
    arena.mouse.down()
    assert at_step(arena, 500)
    arena.mouse.move(middle[0] + (box["width"] - 20) / 4, middle[1])
    arena.mouse.up()
    assert abs(arena.evaluate("viewer.step.value") - 750) <= 1
    arena.keyboard.press("End")
    assert at_step(arena, 1000)
    assert f"{played.match.returns.mean():.3f}" in arena.inner_text(".controls")


@pytest.mark.parametrize("step", [0, 100, 437, 1000])
def test_it_reads_the_same_states_as_the_library(step: int, arena: Any, played: Played):
    assert arena.evaluate(f"Array.from(viewer.game.value.recording.state({step}))") == (
        read_replay(played.path).state(step).tolist()
    )


def test_a_cog_clicked_on_the_map_is_inspected(arena: Any, played: Played):
    arena.click("#play")
    arena.evaluate("viewer.seek(300)")
    replay = read_replay(played.path)
    header = replay.header
    row = replay.state(300)[: 8 * header.agent_width].reshape(8, -1)[5]
    x, y = arena.evaluate("viewer.measured.pixel(5)")
    arena.locator("#map").click(position={"x": x, "y": y})
    facts = {
        name: arena.inner_text(f"[data-fact='{name}'] dd") for name in ("action", "vibe", "row, column", "role", "task")
    }
    assert facts == {
        "action": header.actions[row[3]] + ("" if row[4] else " failed"),
        "vibe": header.vibes[row[2]],
        "row, column": f"{row[0]}, {row[1]}",
        "role": header.roles[row[7]],
        "task": header.tasks[row[8]],
    }
    energy = row[11 + header.resources.index("energy")]
    assert arena.inner_text("[data-item='energy'] b").startswith(f"{energy}/")
    arena.keyboard.press("n")
    assert arena.inner_text(".inspector h2") == "cog 6"
    arena.keyboard.press("f")
    until(arena, CENTRED)
    arena.keyboard.press("Escape")
    assert arena.locator(".inspector").count() == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"teams": {"cogs": {"wealth": 3}}},
        {"quirks": {"territory_invisible": False, "last_reward_invisible": False}},
        {"teams": {"red": {"num_agents": 5, "wealth": 300}, "blue": {"num_agents": 3}}, "roles": ["miner", "aligner"]},
    ],
)
def test_it_shows_the_tokens_that_the_policy_saw(changes: dict[str, Any], page: Any, tmp_path: Path):
    game = play(make_match(steps=150, **changes), tmp_path / "short.replay")
    open_replay(page, game.path.read_bytes(), tmp_path)
    for step in (0, 1, 40, 99, 149):
        for agent in (0, 3, 7):
            tokens = game.observations[step][agent]
            real = tokens[tokens[:, 0] != NOTHING].tolist()
            shown = seen_tokens(page, step, agent)
            assert sorted(shown) == sorted(real), f"step {step}, agent {agent}"
            assert [token[0] for token in shown] == [token[0] for token in real]


def test_events_lead_to_their_step(arena: Any):
    arena.click("#play")
    arena.evaluate("viewer.seek(900)")
    arena.click("[data-tab='events']")
    first = arena.locator(".events li").first
    step, text = first.locator(".when").inner_text(), first.inner_text()
    assert "junction" in text or "hp" in text or "heart" in text or "gear" in text
    first.click()
    assert at_step(arena, int(step))


def test_what_it_shares_is_the_same_replay_in_one_file(arena: Any, page: Any, tmp_path: Path):
    with arena.expect_download() as download:
        arena.click("#share")
    assert download.value.suggested_filename == "cogsguard_arena.basic.html"
    download.value.save_as(tmp_path / "shared.html")
    page.goto((tmp_path / "shared.html").as_uri())
    page.wait_for_selector("#map")
    assert page.evaluate("viewer.last.value") == 1000


def test_markup_in_names_stays_text(page: Any, played: Played, tmp_path: Path):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    data = with_header(played.path.read_bytes(), mission=evil, policies=[evil], roles=[evil] * 5, tasks=[evil] * 11)
    assert parse_replay(data, "evil").header.mission == evil
    open_replay(page, data, tmp_path)
    page.click("[data-cog='2']")
    assert page.inner_text(".title h1") == evil and evil in page.inner_text(".inspector")
    assert page.locator("img").count() == 0 and page.locator("script").count() == 2


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"x" + data, lambda data: data[:9000] + data[9500:]]
)
def test_a_damaged_file_gets_a_line(damage: Any, page: Any, played: Played, tmp_path: Path):
    (tmp_path / "damaged.replay").write_bytes(damage(played.path.read_bytes()))
    (tmp_path / "page.html").write_text((Path(__file__).parents[2] / "metta/view/page/index.html").read_text())
    page.goto((tmp_path / "page.html").as_uri())
    page.set_input_files("#file", tmp_path / "damaged.replay")
    assert "cannot be opened" in page.inner_text(".failure")
    page.set_input_files("#file", played.path)
    page.wait_for_selector("#map")


def test_a_replay_that_was_cut_shows_its_steps_and_says_so(page: Any, played: Played, tmp_path: Path):
    played.match.recording.grow(tmp_path / "cut.replay")
    played.match.recording.close()
    open_replay(page, (tmp_path / "cut.replay").read_bytes()[:-1], tmp_path)
    assert page.inner_text("[data-cut]") == "cut after step 999"
    read = "step => Array.from(viewer.game.value.recording.state(step))"
    for step in (0, 99, 100, 999):
        assert page.evaluate(read, step) == read_replay(played.path).state(step).tolist()


def test_a_notebook_shows_the_same_page_inline(page: Any, played: Played, tmp_path: Path):
    shown = show_replay(played.path)._repr_html_()
    (tmp_path / "notebook.html").write_text(f"<!doctype html><body>{shown}</body>")
    page.goto((tmp_path / "notebook.html").as_uri())
    frame = page.frame_locator("iframe")
    frame.locator("#map").wait_for()
    assert frame.locator(".title h1").inner_text() == "cogsguard_arena.basic"
    assert np.char.count(html.unescape(shown), json.dumps("replay")) == 1
