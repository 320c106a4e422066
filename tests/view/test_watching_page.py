"""What one can do in the page with a replay: choose, inspect, go to a step, look about, open another one."""

import io
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from metta.eval.replay.file import read_replay
from metta.eval.replay.header import GONE
from metta.view.page import write_replay_page
from tests.view.conftest import Played, make_match, play, until

pytestmark = pytest.mark.browser
BUILT = Path(__file__).parents[2] / "metta/view/page/index.html"
WAYS = {1: (-1, 0), 2: (1, 0), 3: (0, -1), 4: (0, 1)}
FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
THERE = "viewer.game.value.world.owner(viewer.game.value.recording.state(400), t.index) !== -2"


@pytest.fixture
def arena(page: Any, played: Played, tmp_path: Path) -> Any:
    """The arena's replay, paused at step 400."""
    write_replay_page(played.path, tmp_path / "arena.html")
    page.goto(f"{(tmp_path / 'arena.html').as_uri()}#step=400")
    page.wait_for_selector("#map")
    until(page, "viewer.measured.drawn > 0")
    return page


def click_cell(page: Any, row: int, col: int) -> None:
    x, y = page.evaluate("([row, col]) => viewer.measured.cell(row, col)", [row, col])
    page.locator("#map").click(position={"x": x, "y": y})


def pixel(page: Any, row: int, col: int) -> np.ndarray:
    """Colour of a cell's lower right part as it is seen, int [3]."""
    page.evaluate(FRAMES)
    x, y = page.evaluate("([row, col]) => viewer.measured.cell(row, col)", [row, col])
    box = page.locator("#map").bounding_box()
    clip = {"x": round(box["x"] + x + 3), "y": round(box["y"] + y + 3), "width": 1, "height": 1}
    return np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB"), np.int64)[0, 0]


def facts(page: Any) -> dict[str, str]:
    found = (
        "[...document.querySelectorAll('[data-fact]')].map((e) => [e.dataset.fact, e.querySelector('dd').innerText])"
    )
    return dict(page.evaluate(found))


def states(played: Played) -> tuple[Any, np.ndarray]:
    """Header of a replay, and all its states [steps + 1, size]."""
    replay = read_replay(played.path)
    return replay.header, np.stack([state for chunk in range(len(replay.chunks)) for state in replay.states(chunk)])


def uses_of(played: Played, until_step: int) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """By cell of an object: step and agent of each successful move at it that left the agent where it was."""
    header, all_states = states(played)
    cells = {(thing.row, thing.col): [] for thing in header.objects}
    agents = all_states[:, : len(header.agents) * header.agent_width].reshape(len(all_states), len(header.agents), -1)
    for step in range(1, until_step + 1):
        for agent, (row, col, _, action, success) in enumerate(agents[step, :, :5].tolist()):
            if success and action in WAYS and agents[step - 1, agent, :2].tolist() == [row, col]:
                aim = (row + WAYS[action][0], col + WAYS[action][1])
                if aim in cells:
                    cells[aim].append((step, agent))
    return cells


def test_moving_cogs_are_chosen_where_they_were_pressed(arena: Any):
    arena.click("#play")
    until(arena, "viewer.playing.value && viewer.step.value > 401")
    box = arena.locator("#map").bounding_box()
    chosen = []
    for agent in (1, 2, 3, 4, 6):  # these have nobody beside them
        arena.evaluate("viewer.seek(400)")
        x, y = arena.evaluate(f"viewer.measured.pixel({agent})")
        arena.mouse.move(box["x"] + x, box["y"] + y)
        arena.evaluate("viewer.seek(401.5)")  # a hand follows the eye
        arena.mouse.down()
        arena.evaluate("viewer.seek(405)")  # and takes its time to let go
        arena.mouse.up()
        chosen.append(arena.inner_text(".inspector h2"))
    assert chosen == [f"cog {agent}" for agent in (1, 2, 3, 4, 6)]


def test_a_click_that_moves_pans_and_chooses_nothing(arena: Any):
    box = arena.locator("#map").bounding_box()
    x, y = arena.evaluate("viewer.measured.pixel(2)")
    arena.mouse.move(box["x"] + x, box["y"] + y)
    arena.mouse.down()
    arena.mouse.move(box["x"] + x - 60, box["y"] + y + 40)
    arena.mouse.up()
    assert arena.locator(".inspector").count() == 0
    assert arena.evaluate("viewer.measured.pixel(2)") == pytest.approx([x - 60, y + 40])


@pytest.mark.parametrize("kind", ["junction", "hub", "carbon_extractor", "aligner"])
def test_things_are_inspected_and_tell_who_used_them(kind: str, arena: Any, played: Played):
    header, all_states = states(played)
    uses = uses_of(played, 400)
    objects = all_states[400, len(header.agents) * header.agent_width :].tolist()
    names = [header.types[thing.type].name.split(":")[-1] for thing in header.objects]
    there = [i for i, name in enumerate(names) if name == kind and objects[2 * i] != GONE]
    index = max(there, key=lambda i: len(uses[header.objects[i].row, header.objects[i].col]))
    thing, owner, stock = header.objects[index], objects[2 * index], objects[2 * index + 1]
    click_cell(arena, thing.row, thing.col)
    shown, used = facts(arena), uses[thing.row, thing.col]
    assert shown["owner"] == (header.collectives[owner] if owner >= 0 else "nobody")
    assert shown["row, column"] == f"{thing.row}, {thing.col}"
    assert shown["used"] == ("once" if len(used) == 1 else f"{len(used)} times") and len(used) > 0
    assert shown["last used"].startswith(f"step {used[-1][0]} by cog {used[-1][1]}")
    counts = Counter(agent for _, agent in used)
    assert len(arena.locator("#users button").all()) == len(counts)
    assert arena.locator("#users button").first.inner_text().split()[0] in map(str, counts)
    if kind in ("junction", "hub"):
        assert shown["area"] == "10 cells around"
    if kind == "hub":
        assert shown["heart"] == str(stock)
    if kind == "carbon_extractor":
        assert shown["carbon"].startswith(f"{stock} of ")
    arena.keyboard.press("Escape")
    assert arena.locator("#place").count() == 0


def test_a_step_is_gone_to_by_typing_it(arena: Any):
    arena.keyboard.press("g")
    arena.keyboard.type("123")
    arena.keyboard.press("Enter")
    until(arena, "viewer.step.value === 123")
    arena.keyboard.press(".")  # the keys are the viewer's again
    until(arena, "viewer.step.value === 124")


def test_a_link_leads_to_its_step_and_the_address_follows(arena: Any):
    assert arena.inner_text("#step") == "400" and not arena.evaluate("viewer.playing.value")
    arena.keyboard.press(",")
    until(arena, "location.hash === '#step=399'")
    arena.evaluate("location.hash = '#step=77'")
    until(arena, "viewer.step.value === 77")
    arena.click("#play")
    until(arena, "location.hash === ''")


def test_keys_make_it_up_to_a_thousand_times_as_fast(arena: Any):
    for _ in range(20):
        arena.keyboard.press("+")
    assert arena.input_value("#speed") == "1000"
    arena.click("#play")
    until(arena, "viewer.step.value === 1000")


def test_the_minimap_leads_there_and_the_map_cannot_be_lost(arena: Any):
    camera = "[viewer.measured.camera.x, viewer.measured.camera.y]"
    box = arena.locator("#map").bounding_box()
    for _ in range(4):
        arena.click("[title='nearer']")
    height = arena.evaluate("document.querySelector('#map').clientHeight")
    arena.locator("#map").click(position={"x": 12 + 150 * 0.75, "y": height - 12 - 150 * 0.25})
    columns, rows = arena.evaluate("[viewer.game.value.world.cols, viewer.game.value.world.rows]")
    assert arena.evaluate(camera) == pytest.approx([columns * 0.75 - 0.5, rows * 0.75 - 0.5], abs=0.3)
    for _ in range(12):
        arena.mouse.move(box["x"] + 500, box["y"] + 100)
        arena.mouse.down()
        arena.mouse.move(box["x"] + 10, box["y"] + 100)
        arena.mouse.up()
    right = arena.evaluate("viewer.game.value.bounds[3]")
    assert arena.evaluate(camera)[0] == right


def test_a_map_that_is_seen_whole_stays_so_when_the_window_changes(arena: Any):
    for size in ((1600, 1000), (900, 700)):
        arena.set_viewport_size({"width": size[0], "height": size[1]})
        until(arena, "viewer.measured.camera.height === document.querySelector('#map').clientHeight")
        fits = arena.evaluate("""() => {
            const [top, left, bottom, right] = viewer.game.value.bounds, map = document.querySelector("#map");
            const [x, y] = viewer.measured.cell(top, left), [X, Y] = viewer.measured.cell(bottom, right);
            const free = Math.min(map.clientWidth - (X - x), map.clientHeight - (Y - y));
            return x >= 0 && y >= 0 && X <= map.clientWidth && Y <= map.clientHeight && free < 40;
        }""")
        assert fits


def test_no_tooltip_covers_controls(arena: Any):
    curve = arena.locator("#curve").bounding_box()
    for share in (0.02, 0.5, 0.98):
        arena.mouse.move(curve["x"] + share * curve["width"], curve["y"] + 40)
        tip, controls = (arena.locator(f".timeline {name}").bounding_box() for name in (".tip", ".controls"))
        assert tip["y"] >= controls["y"] + controls["height"]
    arena.set_viewport_size({"width": 1000, "height": 800})
    map_box, zoom = arena.locator("#map").bounding_box(), arena.locator(".zoom").bounding_box()
    until(arena, "viewer.measured.camera.width === document.querySelector('#map').clientWidth")
    things = arena.evaluate(
        f"viewer.game.value.world.things.filter((t) => {THERE}).map((t) => viewer.measured.cell(t.row, t.col))"
    )
    low_right = sorted(things, key=lambda at: -at[0] - at[1])[:5]
    for x, y in low_right:
        arena.mouse.move(map_box["x"] + x, map_box["y"] + y)
        tip = arena.locator(".stage .tip").bounding_box()
        assert tip["x"] + tip["width"] <= zoom["x"] and tip["y"] + tip["height"] <= map_box["y"] + map_box["height"]


def test_the_heat_map_shows_where_cogs_were(arena: Any, played: Played):
    header, all_states = states(played)
    agents = all_states[:401, : 8 * header.agent_width].reshape(401, 8, -1)
    counts = Counter(map(tuple, agents[:, :, :2].reshape(-1, 2).tolist()))
    now = {tuple(place) for place in agents[-1, :, :2].tolist()}
    things = {(thing.row, thing.col) for thing in header.objects}
    busy = next(cell for cell, _ in counts.most_common() if cell not in now | things)
    alone = next(cell for cell in counts if cell not in set(map(tuple, agents[:, 3, :2].tolist())) | now | things)
    plain = pixel(arena, *busy), pixel(arena, *alone)
    arena.keyboard.press("h")
    assert np.abs(pixel(arena, *busy) - plain[0]).sum() > 200 and (pixel(arena, *alone) != plain[1]).any()
    arena.click("[data-cog='3']")  # from now on of this one alone
    arena.keyboard.press("a")
    lit = pixel(arena, *alone)
    arena.keyboard.press("h")
    assert (pixel(arena, *alone) == lit).all()


def test_what_the_cog_does_not_see_is_dark(arena: Any, played: Played):
    row, col = read_replay(played.path).state(400)[:2].tolist()
    arena.keyboard.press("n")
    inside, outside = (row + 3, col + 3), (row + 9, col + 3)
    bright = pixel(arena, *inside), pixel(arena, *outside)
    arena.click("#sight")
    assert (pixel(arena, *inside) == bright[0]).all() and pixel(arena, *outside).sum() < bright[1].sum() * 0.7


def test_a_card_tells_what_this_is(arena: Any):
    arena.click("#about")
    text = arena.inner_text("dialog")
    assert all(word in text for word in ("What is this?", "junctions", "score", "aligner", "clips", "cogs"))
    arena.keyboard.press("Escape")
    until(arena, "document.querySelector('dialog') === null")
    arena.keyboard.press("i")
    until(arena, "document.querySelector('dialog')?.open")


def test_teams_have_their_scores_as_numbers(page: Any, tmp_path: Path):
    teams = {"red": {"num_agents": 5, "wealth": 300}, "blue": {"num_agents": 3}}
    game = play(make_match(steps=150, teams=teams), tmp_path / "teams.replay")
    write_replay_page(game.path, tmp_path / "teams.html")
    page.goto(f"{(tmp_path / 'teams.html').as_uri()}#step=150")
    returns = game.match.returns
    for name, mean in (("red", returns[:5].mean()), ("blue", returns[5:].mean())):
        assert page.inner_text(f"[data-score='{name}'] b") == f"{mean:.2f}"


def drop(page: Any, data: bytes) -> None:
    page.evaluate(
        """(bytes) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([new Uint8Array(bytes)], "dropped.replay"));
            const dropped = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
            document.querySelector("#map").dispatchEvent(dropped);
        }""",
        list(data),
    )


def test_a_replay_that_is_dropped_takes_the_place_of_the_one_that_is_shown(arena: Any, tmp_path: Path):
    other = play(make_match(steps=30), tmp_path / "other.replay")
    drop(arena, other.path.read_bytes()[:-3])
    until(arena, "document.querySelector('.failure')?.textContent.includes('damaged replay')")
    assert arena.evaluate("viewer.last.value") == 1000
    drop(arena, other.path.read_bytes())
    until(arena, "viewer.last.value === 30")
    assert arena.locator(".failure").count() == 0
    with arena.expect_download() as download:
        arena.click("#share")
    download.value.save_as(tmp_path / "shared.html")
    arena.goto((tmp_path / "shared.html").as_uri())
    until(arena, "viewer.last.value === 30")


@pytest.fixture
def folder(played: Played, tmp_path: Path) -> Iterator[str]:
    """The address of a folder on the web with the page and a replay."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            return

    shutil.copy(BUILT, tmp_path / "index.html")
    shutil.copy(played.path, tmp_path / "arena.replay")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_address_names_a_replay_and_a_step(page: Any, folder: str):
    page.goto(f"{folder}/index.html?replay=arena.replay#step=350")
    until(page, "viewer.step.value === 350")
    assert not page.evaluate("viewer.playing.value")
