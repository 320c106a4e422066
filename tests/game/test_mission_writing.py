"""A mission that is written to a file and read again is the same mission."""

from pathlib import Path

import pytest
import yaml

from metta.common.errors import UserError
from metta.game.mission import MissionSettings
from metta.game.mission_writing import save_mission, settings_of
from metta.game.missions import build_mission, load_mission, mission_names

ROOT = Path(__file__).parents[2]
CHANGED = [
    {"variants": ["speed_run"]},
    {"variants": ["multi_team", "forest"], "cogs": 6},
    {"variants": ["dark_side", "braveheart"], "difficulty": "medium", "cogs": 3},
    {"rewards": ["milestones"], "reward_entries": {"mine": {"stat": "carbon.gained", "weight": 0.1}}},
    {"map": {"site": "cogsguard_machina_1", "height": 60, "seed": 7}, "quirks": {"idle_use_costs_energy": False}},
    {"name": str(ROOT / "docs/missions/duel.yaml")},
    {"name": str(ROOT / "docs/missions/siege.yaml")},
]


@pytest.mark.parametrize("name", mission_names())
def test_a_mission_of_the_game_comes_back(name: str, tmp_path: Path):
    save_mission(load_mission(name), tmp_path / "saved.yaml")
    assert build_mission(MissionSettings(name=str(tmp_path / "saved.yaml"))) == load_mission(name)


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
@pytest.mark.parametrize("settings", CHANGED, ids=str)
def test_a_changed_mission_comes_back(settings: dict[str, object], suffix: str, tmp_path: Path):
    mission = build_mission(MissionSettings.model_validate(settings))
    save_mission(mission, tmp_path / f"saved{suffix}")
    assert build_mission(MissionSettings(name=str(tmp_path / f"saved{suffix}"))) == mission


def test_a_file_says_only_what_differs(tmp_path: Path):
    said = settings_of(load_mission("aligner_tutorial"))
    assert said == {
        "name": "cogsguard_arena.aligner_tutorial",
        "description": "Learn the aligner: collect hearts, align neutral junctions.",
        "variants": ["easy", "aligner_rewards", "braveheart"],
        "max_steps": 1000,
        "teams": {"cogs": {"wealth": 3, "num_agents": 4}},
        "cog": {"heart_limit": 3},
        "map": {"site": "cogsguard_arena"},
    }
    assert yaml.safe_dump(said)


def test_a_mission_of_overridden_length_becomes_one_made_for_it(tmp_path: Path):
    mission = build_mission(MissionSettings(name="cogsguard_machina_1.basic", max_steps=500))
    save_mission(mission, tmp_path / "short.yaml")
    found = build_mission(MissionSettings(name=str(tmp_path / "short.yaml")))
    assert (mission.built_steps, found.built_steps, found.max_steps) == (10_000, None, 500)


@pytest.mark.parametrize("path", ["mission.txt", "proc/mission.yaml"])
def test_a_file_that_cannot_be_written_is_refused(path: str, tmp_path: Path):
    (tmp_path / "proc").write_text("a file, no folder")
    with pytest.raises(UserError, match=r"a mission file ends in|cannot be written"):
        save_mission(load_mission("cogsguard_arena.basic"), tmp_path / path)
