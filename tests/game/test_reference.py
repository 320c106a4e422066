"""The compiled engine plays as a second game does that is written from the rules in slow plain Python.

Compared after every step: positions, inventories, vibes, successes, objects, owners, stocks, areas, every byte of every
observation, rewards, ends of episodes and all statistics (tests/game/reference/twin.py).
"""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metta.game.maps import cells
from metta.game.maps.ascii import read_map
from metta.game.maps.pool import build_pool
from metta.game.mission import MissionSettings, QuirkSettings
from metta.game.missions import build_mission
from tests.game.play import draw
from tests.game.reference import sight
from tests.game.reference.cases import BASE, FIELD, Case, choose
from tests.game.reference.fuzz import hunt
from tests.game.reference.twin import DifferenceError, Twin
from tests.game.state import give

ROOT = Path(__file__).parents[2]
MAPS = ROOT / "tests" / "fixtures" / "maps"
DEEDS = {
    "junction.aligned_by_agent", "junction.scrambled_by_agent", "c:junction.aligned_by_agent", "death",
    "heart.gained", "heart.lost", "influence.gained", "action.invalid_index", "cell.visited",
    *(f"{item}.{what}" for item in ("aligner", "scrambler", "miner", "scout") for what in ("gained", "lost")),
    *(f"{item}.{what}" for item in ("oxygen", "carbon", "germanium", "silicon") for what in ("gained", "deposited")),
}  # fmt: skip
CONTEST = {"area": {"radius": 2}, "extractor": {"stock": 5}, "rewards": ["role_conditional", "credit"]}
FREED = {"initial_clips_spots": 0, "scramble_start": 5, "scramble_interval": 9, "align_start": 200}


TRUSTED = {"gear_limit": 2, "gear_modifiers": {"influence": 1}, "influence_limit": 9}
STORES = dict.fromkeys(range(cells.HUB, cells.SILICON + 1), 2)
SIDES = {"blue": {"num_agents": 3, "wealth": 4}, "amber": {"num_agents": 1, "wealth": 9}, "drab": {"num_agents": 2}}


def contest(seed: int, things: dict[int, int], cogs: int | None, **changed: object) -> Case:
    mission = {"cogs": cogs, "max_steps": 200} | CONTEST | changed
    return Case(mission, 7, 9, 0.1, things, pool=2, seed=seed, envs=2, steps=150, desync=False)


CONTESTS = [
    contest(0, BASE, 4),
    contest(1, {**FIELD, cells.JUNCTION: 0, cells.TEAM_JUNCTION: 4}, 4, clips=FREED),
    contest(2, FIELD | {cells.TEAM_JUNCTION: 2}, 6, variants=["multi_team"]),
    contest(3, BASE, 6, variants=["multi_team", "no_clips"], teams={"cogs_blue": {"wealth": 4}}),
    contest(4, BASE | FIELD, 3, variants=["clips_hard", "thick_skinned"], cog={"initial_hp": 3, "hp_regen": -5}),
    contest(5, FIELD, 3, quirks=dict.fromkeys(QuirkSettings.model_fields, False)),
    contest(6, BASE, 5, quirks=dict.fromkeys(QuirkSettings.model_fields, False), variants=["energized", "no_clips"]),
    contest(7, BASE, 5, variants=["forced_role_vibes"], reward_entries={"r": {"stat": "role_id.amount", "weight": 1}}),
    contest(
        8, BASE, 4, roles=["scout", "aligner", "scout"], variants=["multi_team"], extractor={"stocks": {"carbon": 1}}
    ),
    contest(9, STORES, 4, variants=["single_use", "no_clips"], quirks={"difficulties_without_effect": False}),
    contest(10, STORES, 3, station={"uses": 2}, area={"radius": 14}, cog=TRUSTED),
    contest(
        11, BASE, 3, cog={"heart_modifiers": {"carbon": 2}, "initial_inventory": {"carbon": 9, "heart": 12, "hp": 7}}
    ),
    contest(12, BASE, 3, variants=["hard", "energy_crisis"], quirks={"difficulties_without_effect": False}),
    replace(contest(13, BASE | FIELD, None, teams=SIDES, variants=["clips_hard"]), drawn=True),
    replace(contest(14, FIELD, None, teams=dict(reversed(SIDES.items())), area={"radius": 1}), drawn=True),
    *(contest(15, {}, 4, name=f"evals.diagnostic_{name}", max_steps=None) for name in ("charge_up", "memory")),
]


def test_random_missions_are_played_by_the_rules():
    finding = hunt(seed=0, examples=120)
    assert finding is None, str(finding)


@pytest.fixture(scope="module")
def contests() -> list[Twin]:
    return [case.play() for case in CONTESTS]


def test_contests_are_played_by_the_rules_and_show_every_deed(contests: list[Twin]):
    done: Counter[str] = Counter()
    for twin in contests:
        for world in twin.worlds:
            for cog in world.cogs:
                done.update(cog.stats)
    assert sorted(DEEDS - set(done)) == []


def wander(twin: Twin) -> None:
    rng = np.random.default_rng(5)
    for _ in range(30):
        twin.step(np.array([[choose(world, cog, rng) for cog in world.cogs] for world in twin.worlds], np.int32))


@pytest.mark.parametrize("site", ["cogsguard_arena", "cogsguard_machina_1"])
def test_a_whole_team_on_a_generated_map_is_played_by_the_rules(site: str):
    wander(Twin(build_mission(MissionSettings(name=site)), read_map(MAPS / f"{site}_00.txt")[None], seed=5, envs=1))


@pytest.mark.parametrize(
    "name", ["evals.eval_single_use_world", "evals.eval_clip_oxygen", "siege", "rich_miners", "duel"]
)
def test_a_mission_of_a_set_or_a_file_is_played_by_the_rules_on_its_own_map(name: str):
    file = ROOT / "docs" / "missions" / f"{name}.yaml"
    mission = build_mission(MissionSettings(name=str(file) if file.is_file() else name))
    wander(Twin(mission, build_pool(mission, 1, seed=5), seed=5, envs=1))


@pytest.mark.parametrize("variants", [[], ["forced_role_vibes"]])
def test_a_mission_has_the_features_and_tags_of_the_rules(variants: list[str]):
    mission = build_mission(MissionSettings(cogs=1, variants=variants))
    twin = Twin(mission, draw(["@"])[None], seed=0, envs=1)
    info = twin.batch.info
    names = {feature.id: feature.name for feature in info.features}
    plain = {"completion": "episode_completion_pct", "area": "aoe_mask", "moved": "last_action_move"}
    directions = {name: f"lp:{name}" for name in ("east", "west", "north", "south")}
    for name, number in sight.feature_ids(mission).items():
        held = name.replace("team:", "inv:collective:").replace("own:", "inv:own:")
        assert names[number] == (plain | directions).get(name, held)
    assert list(info.tags) == list(sight.tag_ids(twin.worlds[0]))


def test_one_changed_number_is_found_and_named():
    case = CONTESTS[0]
    mission = case.build()
    twin = Twin(mission, case.maps(mission), 0, 2)
    idle = np.zeros((2, 4), np.int32)
    twin.step(idle)
    give(twin.batch, e=1, agent=2, item=5, amount=3)
    with pytest.raises(DifferenceError, match="environment 1, episode 1, step 2, inventory of agent 2"):
        twin.step(idle)


def test_a_finding_is_made_small_and_plays_again():
    def fails_with_two_agents(case: Case) -> None:
        assert case.build().agents < 2

    finding = hunt(seed=0, examples=50, play=fails_with_two_agents)
    assert finding is not None and finding.case.mission["cogs"] == 2
    assert (finding.case.steps, finding.case.envs, finding.case.things) == (1, 1, {})
    words = str(finding).splitlines()[-1].removeprefix("reproduce: tools/fuzz.py --case ").strip("'")
    assert Case.from_json(words) == finding.case
    for text, code, output in ((words, 0, "the case agrees"), ("{}", 2, "error: --case is no case")):
        done = subprocess.run(
            [sys.executable, "tools/fuzz.py", "--case", text], cwd=ROOT, capture_output=True, text=True
        )  # fmt: skip
        assert (done.returncode, (done.stdout + done.stderr)[: len(output)]) == (code, output)
