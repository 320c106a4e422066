"""Generated maps: the pictures and statistics of the original, reproducibly."""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metta.common.errors import UserError
from metta.game.maps import ascii as text_maps
from metta.game.maps import cells
from metta.game.maps.arena import generate, generate_pool
from metta.game.maps.connect import balance_corners, label_regions
from metta.game.maps.names import from_names
from metta.game.maps.outline import DEPTH_HIGH, DEPTH_LOW, HALF_HIGH, HALF_LOW, reach
from metta.game.maps.sites import MAP_VARIANTS, SITES, STATIONS, HubSettings, MapSettings, Station, site

MAPS = Path(__file__).parents[1] / "fixtures" / "maps"
REFERENCE = json.loads((MAPS / "statistics.json").read_text())
AGENTS = {"cogsguard_arena": [8], "cogsguard_machina_1": [8], "cogsguard_tutorial": [1]}
PINNED = {"cogsguard_arena": 1822683741, "cogsguard_machina_1": 3816814864, "cogsguard_tutorial": 696910644}
ELEMENTS = (cells.CARBON, cells.OXYGEN, cells.GERMANIUM, cells.SILICON)  # alike, so their means are pooled
ROUNDED = ("extractors", "outer_")  # known to one decimal only, from 50 other maps
PASSABLE = (cells.EMPTY, cells.AGENT)
HUB_WITH_ALL_PADS = """\
...........................
...........................
...........................
...########.....########...
...#...................#...
...#.C...............O.#...
...#...................#...
...#...................#...
...#...................#...
...#.....@...@...@.....#...
...#......@..J..@......#...
.............@.............
...........................
.........@@@.H.@@@@........
...........................
.............@.............
...#......@..@..@......#...
...#.....@a.x@m.s@.....#...
...#...................#...
...#...................#...
...#...................#...
...#.G...............S.#...
...#...................#...
...########.....########...
...........................
...........................
...........................
"""


def varied(settings: MapSettings, *variants: str) -> MapSettings:
    for name in variants:
        settings = MAP_VARIANTS[name][1](settings)
    return settings


def steps_from_hub(kinds: np.ndarray) -> np.ndarray:
    """Steps from the hub over free cells to each free cell and to each object beside one; -1 where none lead."""
    steps = np.full(kinds.shape, -1)
    frontier = [tuple(np.argwhere(kinds == cells.HUB)[0])]
    steps[frontier[0]] = 0
    for distance in range(1, kinds.size):
        reached = []
        for row, col in frontier:
            for r, c in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
                inside = 0 <= r < kinds.shape[0] and 0 <= c < kinds.shape[1]
                if inside and steps[r, c] < 0 and kinds[r, c] != cells.WALL:
                    steps[r, c] = distance
                    if kinds[r, c] in PASSABLE:
                        reached.append((r, c))
        frontier = reached
        if not frontier:
            break
    return steps


def measure(grid: np.ndarray) -> dict[str, float]:
    kinds = grid & cells.KIND_MASK
    steps = steps_from_hub(kinds)
    assert not ((kinds != cells.WALL) & (steps < 0)).any(), "a cell cannot be reached"
    junctions = np.argwhere(kinds == cells.JUNCTION).astype(float)
    pairs = np.linalg.norm(junctions[:, None] - junctions[None], axis=-1)
    np.fill_diagonal(pairs, np.inf)
    outer = np.linalg.norm(junctions - np.argwhere(kinds == cells.HUB)[0], axis=-1)
    outer = outer[outer > 3]
    return {
        "walls": (kinds == cells.WALL).sum(),
        "inner_wall_fraction": (kinds[5:-5, 5:-5] == cells.WALL).mean(),
        "junctions": len(junctions),
        "junction_nearest_neighbour": pairs.min(1).mean(),
        "junction_nearest_steps": steps[kinds == cells.JUNCTION].min(),
        "junction_median_steps": np.median(steps[kinds == cells.JUNCTION]),
        "element_count": np.mean([(kinds == kind).sum() for kind in ELEMENTS]),
        "element_nearest_steps": np.mean([steps[kinds == kind].min() for kind in ELEMENTS]),
        "element_median_steps": np.mean([np.median(steps[kinds == kind]) for kind in ELEMENTS]),
        "extractors": ((kinds >= cells.OXYGEN) & (kinds <= cells.SILICON)).sum(),
        "outer_junction_nearest": outer.min(),
        "outer_junctions_within_20": (outer <= 20).sum(),
        "outer_junctions_within_25": (outer <= 25).sum(),
    }


@pytest.mark.parametrize("name", SITES)
def test_statistics_of_100_maps_agree_with_the_original(name: str):
    measured = [measure(grid) for grid in generate_pool(SITES[name], AGENTS[name], seed=0, count=100)]
    for quantity, (mean, deviation, maps) in REFERENCE[name].items():
        values = np.array([m[quantity] for m in measured], float)
        error = math.hypot(deviation / math.sqrt(maps), values.std() / math.sqrt(len(values)))
        errors = 2.5 if quantity.startswith(ROUNDED) else 2
        assert abs(values.mean() - mean) <= max(errors * error, 0.03 * mean), (quantity, values.mean(), mean)


def test_junctions_keep_their_distance():
    for grid in generate_pool(SITES["cogsguard_arena"], [8], seed=500, count=20):
        junctions = np.argwhere(grid == cells.JUNCTION)
        pairs = ((junctions[:, None] - junctions[None]) ** 2).sum(-1)
        assert pairs[pairs > 0].min() >= 9


def test_hub_is_drawn_exactly():
    grid = generate(SITES["cogsguard_arena"], [20], seed=3)
    assert text_maps.render(grid[16:43, 16:43]) == HUB_WITH_ALL_PADS
    assert grid[29, 29] == cells.HUB
    grid = generate(SITES["cogsguard_machina_1"], [20], seed=3)
    assert text_maps.render(grid[35:62, 35:62]) == HUB_WITH_ALL_PADS.replace("J", "j")
    assert grid[48, 48] == cells.HUB


@pytest.mark.parametrize("stations", [[], ["miner"], ["scout", "aligner"]])
def test_a_hub_has_the_stations_that_the_mission_names(stations: list[Station]):
    base = SITES["cogsguard_arena"]
    grid = generate(base.model_copy(update={"hub": HubSettings(stations=stations)}), [20], seed=3)
    missing = {letter: "." for letter, name in zip("axms", STATIONS, strict=True) if name not in stations}
    assert text_maps.render(grid[16:43, 16:43]) == HUB_WITH_ALL_PADS.translate(str.maketrans(missing))


@pytest.mark.parametrize("name", SITES)
def test_hub_equals_that_of_a_sample(name: str):
    sample = text_maps.read_map(MAPS / f"{name}_00.txt")
    ours = generate(SITES[name], AGENTS[name], seed=0)
    assert ours.shape == sample.shape
    hub, border = SITES[name].hub, SITES[name].border
    row, col = np.argwhere(sample == cells.HUB)[0]
    reach = hub.size // 2 + hub.clearance
    window = (slice(row - reach, row + reach + 1), slice(col - reach, col + reach + 1))
    agents_off = np.array([cells.EMPTY if kind == cells.AGENT else kind for kind in range(15)], np.uint8)
    assert (agents_off[ours[window]] == agents_off[sample[window]]).all()
    frame = np.ones(ours.shape, bool)
    frame[border:-border, border:-border] = False
    assert (ours[frame] == cells.WALL).all()


@given(seed=st.integers(0, 2**62), agents=st.integers(1, 20))
@settings(max_examples=20)
def test_every_map_has_its_agents_and_one_region(seed: int, agents: int):
    grid = generate(SITES["cogsguard_arena"], [agents], seed)
    assert (grid == cells.AGENT).sum() == agents
    assert label_regions(np.where(grid == cells.AGENT, cells.EMPTY, grid).astype(np.uint8))[1] == 1


@given(
    height=st.integers(17, 60), width=st.integers(17, 60), coverage=st.floats(0, 1), seed=st.integers(0, 1000),
    variants=st.lists(st.sampled_from(sorted(set(MAP_VARIANTS) - {"small_50", "multi_team"})), max_size=3),
    asteroid=st.booleans(), each_once=st.booleans(),
)  # fmt: skip
@settings(max_examples=60)
def test_any_settings_give_a_connected_map(height, width, coverage, seed, variants, asteroid, each_once):
    base = MapSettings( height=height, width=width, coverage=coverage, asteroid=asteroid, each_once=each_once,
        hub=HubSettings(size=15, clearance=1, pads=12),
    )  # fmt: skip
    grid = generate(varied(base, *variants), [4], seed)
    kinds = grid & cells.KIND_MASK
    assert (kinds == cells.AGENT).sum() == 4
    assert not ((kinds == cells.EMPTY) & (steps_from_hub(kinds) < 0)).any()


def test_same_seed_gives_the_same_map_whatever_the_pool():
    arena = SITES["cogsguard_arena"]
    pool = generate_pool(arena, [8], seed=100, count=40, threads=1)
    assert (generate_pool(arena, [8], seed=100, count=40, threads=3) == pool).all()
    assert (generate_pool(arena, [8], seed=110, count=5, threads=2) == pool[10:15]).all()
    assert (generate(arena, [8], seed=139) == pool[39]).all()
    assert len(np.unique(pool.reshape(40, -1), axis=0)) == 40


def test_the_triangles_of_a_ragged_outline_narrow_as_the_originals():
    for half in range(HALF_LOW, HALF_HIGH + 1):
        for depth in range(DEPTH_LOW, DEPTH_HIGH + 1):
            narrowing = [reach.py_func(half, depth, row) for row in range(depth)]
            assert narrowing == [round(half * (1 - row / depth)) for row in range(depth)]


def test_maps_do_not_change_between_machines():
    checksums = {name: zlib.crc32(generate(SITES[name], AGENTS[name], 7).tobytes()) for name in SITES}
    assert checksums == PINNED


@given(sizes=st.tuples(st.integers(1, 20), st.integers(1, 20)), seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_teams_of_any_sizes_get_a_map_each(sizes: tuple[int, int], seed: int):
    grid = generate(varied(SITES["cogsguard_arena"], "multi_team"), sizes, seed)
    assert grid.shape == (104, 52)
    teams, kinds = grid >> cells.TEAM_SHIFT, grid & cells.KIND_MASK
    for team, rows in ((0, slice(0, 52)), (1, slice(52, 104))):
        assert (teams[rows][kinds[rows] == cells.AGENT] == team).all()
        assert (kinds[rows] == cells.AGENT).sum() == sizes[team]
        assert (kinds[rows] == cells.HUB).sum() == 1
    assert (steps_from_hub(kinds)[kinds == cells.EMPTY] >= 0).all()


def test_too_many_agents_are_refused():
    with pytest.raises(UserError, match="room for 1 to 20 agents of a team, not 21"):
        generate(SITES["cogsguard_arena"], [3, 21], seed=0)


def test_unknown_site_names_the_nearest():
    with pytest.raises(UserError, match="did you mean cogsguard_arena"):
        site("cogsguard_arenas")


@pytest.mark.parametrize("name", SITES)
def test_samples_survive_parsing_and_rendering(name: str):
    text = (MAPS / f"{name}_00.txt").read_text()
    assert text_maps.render(text_maps.parse(text)) == text.rstrip("\n") + "\n"


def test_bad_map_text_is_located():
    with pytest.raises(UserError, match="map:2:3: unknown cell '\\?'"):
        text_maps.parse("####\n#.?#\n####")
    with pytest.raises(UserError, match="map:3:3: 2 cells, the first row has 3"):
        text_maps.parse("###\n#.#\n##")
    with pytest.raises(UserError, match="empty"):
        text_maps.parse(" \n")


def test_names_of_the_original_become_codes():
    grid = np.array([["wall", "agent.team_1", "b:hub"], ["c:aligner", "agent.agent", "junction"]])
    team = 1 << cells.TEAM_SHIFT
    expected = [[cells.WALL, cells.AGENT | team, cells.HUB | team], [cells.ALIGNER, cells.AGENT, cells.JUNCTION]]
    assert (from_names(grid, ["c", "b"]) == np.array(expected)).all()
    with pytest.raises(UserError, match="unknown map cell 'c:hup'"):
        from_names(np.array([["c:hup"]]), ["c"])


def corner_ways(area: np.ndarray) -> np.ndarray:
    """Steps from the hub to the corners of a map without border, int [4]."""
    return steps_from_hub(area)[[0, 0, -1, -1], [0, -1, 0, -1]]


def test_balanced_corners_are_about_equally_far():
    area = np.zeros((41, 41), np.uint8)
    area[20, 20] = cells.HUB
    for ring in range(2, 9, 2):  # the way into the first corner winds round four walls
        area[ring, : ring + 1] = area[: ring + 1, ring] = cells.WALL
        area[(0, ring) if ring % 4 else (ring, 0)] = cells.EMPTY
    before = corner_ways(area)
    balance_corners(area)
    after = corner_ways(area)
    assert before.max() > 1.5 * before.min()
    assert after.max() <= 1.5 * after.min() and (after[1:] == before[1:]).all()


def test_distant_resources_lie_in_opposite_corners():
    distant = varied(SITES["cogsguard_arena"], "distant_resources", "empty_base")
    kinds = generate_pool(distant, [8], seed=0, count=60)[:, 5:-5, 5:-5] & cells.KIND_MASK
    for kind, falling in ((cells.CARBON, False), (cells.OXYGEN, True)):
        _, rows, cols = np.nonzero(kinds == kind)
        on_falling = ((rows < 25) == (cols < 25)).mean()
        assert len(rows) > 50 and (on_falling if falling else 1 - on_falling) > 0.75
    assert ((kinds >= cells.OXYGEN) & (kinds <= cells.SILICON)).sum((1, 2)).mean() < 20
