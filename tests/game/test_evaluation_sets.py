"""The evaluation sets: every mission builds, plays, and has an objective that can be reached."""

from collections import deque

import numpy as np
import pytest

from metta.common.errors import UserError
from metta.game.engine.batch import EnvBatch
from metta.game.maps import cells
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission
from metta.game.missions import load_mission, mission_set, mission_sets
from metta.game.rewards import reward_entries

MOVES = {1: (-1, 0), 2: (1, 0), 3: (0, -1), 4: (0, 1)}
ALL = sorted({name for names in mission_sets().values() for name in names})
HARD = ("chest_navigation1", "chest_navigation2", "chest_navigation3", "chest_deposit_search", "charge_up", "memory")


class Game:
    """One environment of a mission."""

    def __init__(self, name: str):
        self.mission = load_mission(name)
        self.grid = build_pool(self.mission, 1, seed=0)[0]
        self.batch = EnvBatch(self.mission, 1, maps=self.grid[None], auto_reset=False)
        shape = (1, self.batch.num_agents)
        self.observations = np.zeros((*shape, 200, 3), np.uint8)
        self.rewards, self.returns = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.ends = np.zeros(shape, bool), np.zeros(shape, bool)
        self.batch.reset(self.observations)

    def step(self, actions: np.ndarray) -> None:
        self.batch.step(actions.astype(np.int32)[None], self.observations, self.rewards, *self.ends)
        self.returns += self.rewards


def covered(grid: np.ndarray, mission: Mission) -> np.ndarray:
    """Cells within the areas of the team's hub and junctions, bool [H, W]."""
    rows, cols = np.indices(grid.shape)
    sources = np.argwhere((grid == cells.HUB) | (grid == cells.TEAM_JUNCTION))
    return np.any([(rows - r) ** 2 + (cols - c) ** 2 <= mission.area.radius**2 for r, c in sources], axis=0)


def solar(mission: Mission, step: int) -> int:
    """Energy gained in a step: the first half of a day of 200 steps is brighter."""
    bright = mission.weather.day_deltas.get("solar", 0) - mission.weather.night_deltas.get("solar", 0)
    return mission.cog.initial_solar + (bright if step % 200 < 100 else 0)


def plan(game: Game, start: tuple[int, int], energy: int, goal: int) -> tuple[list[int], tuple[int, int], int]:
    """Few steps (0 waits) to use an object of kind `goal`, by breadth over cell and energy; where it ends."""
    cog, fed, now = game.mission.cog, covered(game.grid, game.mission), game.batch.statistics(0).steps
    price, most = cog.action_cost["energy"], cog.energy_limit
    first = (*start, min(energy, most))
    before: dict[tuple[int, int, int], tuple[tuple[int, int, int], int] | None] = {first: None}
    queue = deque([(first, now + 1)])
    while queue:
        state, step = queue.popleft()
        row, col, left = state
        for action, (dr, dc) in ({0: (0, 0)} | MOVES).items():
            if action and left < price:
                continue
            there = row + dr, col + dc
            if game.grid[there] == goal:
                actions = [action]
                while (past := before[state]) is not None:
                    state, action = past
                    actions.append(action)
                return actions[::-1], (row, col), left - price
            if action and game.grid[there] != cells.EMPTY:
                continue
            rest = left - (price if action else 0) + solar(game.mission, step)
            after = (*there, most if fed[there] else min(rest, most))
            if after not in before:
                before[after] = state, action
                queue.append((after, step + 1))
    raise AssertionError(f"{game.mission.name}: no way to {goal}")


@pytest.mark.parametrize("name", [name for name in ALL if "diagnostic" in name])
def test_a_cog_reaches_the_objective_of_a_diagnostic_in_time(name: str):
    game = Game(name)
    place = tuple(game.batch.positions()[0, 0].tolist())
    energy = game.mission.cog.energy_limit
    goals = [cells.CARBON, cells.HUB] if "memory" in name else [cells.HUB]
    for goal in goals:
        actions, place, energy = plan(game, place, energy, goal)
        for action in actions:
            game.step(np.array([action] + [0] * (game.batch.num_agents - 1)))
    assert game.batch.statistics(0).steps <= game.mission.max_steps
    assert game.returns[0, 0] >= 0.99
    assert (game.returns[0, 1:] == 0).all()


def reachable(grid: np.ndarray) -> set[int]:
    """Kinds of object that can be used from the cells around the hub."""
    kinds = grid & cells.KIND_MASK
    frontier, seen, found = [tuple(np.argwhere(kinds == cells.HUB)[0])], set(), set()
    while frontier:
        row, col = frontier.pop()
        for dr, dc in MOVES.values():
            there = (row + dr, col + dc)
            found.add(int(kinds[there]))
            if there not in seen and kinds[there] in (cells.EMPTY, cells.AGENT):
                seen.add(there)
                frontier.append(there)
    return found


@pytest.mark.parametrize("name", [name for name in ALL if "diagnostic" not in name])
def test_everything_that_a_larger_mission_pays_for_can_be_reached(name: str):
    game = Game(name)
    wanted = {cells.OXYGEN, cells.CARBON, cells.GERMANIUM, cells.SILICON}
    if "no_objective" not in game.mission.rewards:
        wanted |= {cells.JUNCTION, cells.ALIGNER}
        outside = np.argwhere(game.grid == cells.JUNCTION) - np.argwhere(game.grid == cells.HUB)[0]
        assert (np.abs(outside).max(1) > 3).any(), "a junction beside that of the hub"
    assert wanted <= reachable(game.grid)
    assert reward_entries(game.mission, 0)


@pytest.mark.parametrize("name", ALL)
def test_random_play_runs(name: str):
    game = Game(name)
    random = np.random.default_rng(1)
    for _ in range(50):
        game.step(random.integers(0, len(game.batch.info.action_names), game.batch.num_agents))
    assert np.isfinite(game.returns).all()
    assert game.batch.statistics(0).steps == 50


def test_every_evaluation_mission_has_a_map_of_its_own_and_the_same_each_time():
    maps = [build_pool(load_mission(name), 1, seed=0)[0] for name in ALL if name.startswith("evals.")]
    assert len({grid.tobytes() for grid in maps}) == len(maps)
    for name in mission_set("cogsguard_evals"):
        first, second = build_pool(load_mission(name), 2, seed=5)
        assert (first == second).all()


def test_the_sets_hold_the_missions_of_the_table():
    own = {label: {name.split(".")[1] for name in names} for label, names in mission_sets().items()}
    assert own["integrated_evals"] == {"energy_starved"}
    plain = {*HARD, "chest_deposit_near"}
    assert own["diagnostic_evals"] == {f"diagnostic_{n}" for n in plain} | {f"diagnostic_{n}_hard" for n in HARD}
    degrees = ("easy", "standard", "hard")
    kinds = ("oxygen_bottleneck", "energy_starved", "distant_resources", "quadrant_buildings")
    hearts = {"easy_hearts_training", *(f"easy_{size}_hearts" for size in ("small", "medium", "large"))}
    assert own["spanning_evals"] == {f"{kind}_{degree}" for kind in kinds for degree in degrees} | hearts
    assert own["cogsguard_evals"] == {
        "eval_balanced_spread", "eval_clip_oxygen", "eval_collect_resources", "eval_collect_resources_medium",
        "eval_collect_resources_hard", "eval_divide_and_conquer", "eval_energy_starved",
        "eval_multi_coordinated_collect_hard", "eval_oxygen_bottleneck", "eval_single_use_world",
        "extractor_hub_30x30", "extractor_hub_50x50", "extractor_hub_70x70", "extractor_hub_80x80",
        "extractor_hub_100x100",
    }  # fmt: skip
    with pytest.raises(UserError, match="unknown mission set 'cogsguard_eval' \\(did you mean cogsguard_evals"):
        mission_set("cogsguard_eval")


def test_sizes_and_teams_are_those_of_the_table():
    sizes = {name: load_mission(name) for name in mission_set("cogsguard_evals") if "hub" in name}
    table = {name.rpartition("_")[2]: (mission.agents, mission.map.shape(1)[0]) for name, mission in sizes.items()}
    assert table == {
        "30x30": (8, 50), "50x50": (7, 70), "70x70": (8, 90), "80x80": (7, 100), "100x100": (7, 120),
    }  # fmt: skip
