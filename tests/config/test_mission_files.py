"""A mission of one's own on the command line: `mission=my_mission.yaml` for every job."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from tests.config.conftest import Outcome

Runner = Callable[..., Outcome]
MISSION = "base: aligner_tutorial\ncogs: 2\nmax_steps: 40\nmap: {picture: room.txt}\n"
PICTURE = "#########\n#@..J...#\n#@.H....#\n#..a....#\n#########\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "room.txt").write_text(PICTURE)
    (tmp_path / "my_mission.yaml").write_text(MISSION)
    monkeypatch.chdir(tmp_path)
    return "my_mission.yaml"


@pytest.mark.parametrize("job", ["train", "evaluate", "play"])
@pytest.mark.parametrize("path", ["my_mission.yaml", "./my_mission.yaml", "{here}/my_mission.yaml"])
def test_every_job_takes_a_mission_file(job: str, path: str, file: str, run: Runner) -> None:
    word = f"mission={path.format(here=Path.cwd())}"
    tree = run(f"cogsguard.{job}", word, "mission.variants=[dark_side]", "--cfg", "job", "--resolve").tree
    mission = build_mission(MissionSettings.model_validate(tree["mission"]))
    assert (mission.name, mission.agents, mission.max_steps) == ("my_mission", 2, 40)
    assert mission.map.picture == PICTURE
    assert mission.variants == ["easy", "aligner_rewards", "braveheart", "dark_side"]


def test_the_saved_tree_repeats_the_mission_when_its_files_have_changed(file: str, run: Runner) -> None:
    first = run("cogsguard.train", f"mission={file}", "run=x", "--cfg", "job", "--resolve").tree
    Path("saved").mkdir()
    Path("saved/config.yaml").write_text(yaml.safe_dump(first))
    Path("room.txt").write_text("#")
    Path(file).write_text("cogs: 7")
    again = run("--from", "saved", "--cfg", "job", "--resolve").tree
    assert again["mission"] == first["mission"]
    other = run("--from", "saved", "mission=scout_tutorial", "--cfg", "job", "--resolve").tree
    assert (other["mission"]["name"], other["mission"]["base"]) == ("cogsguard_arena.scout_tutorial", None)


def test_evaluations_during_training_take_mission_files(file: str, run: Runner) -> None:
    tree = run("cogsguard.train", f"evals.missions={{mine: {file}}}", "--cfg", "job", "--resolve").tree
    assert tree["evals"]["missions"]["mine"]["base"]["map"]["picture"] == PICTURE


def test_a_later_mission_takes_the_place_of_an_earlier_one(file: str, run: Runner) -> None:
    Path("mine.yaml").write_text(f"mission: {file}\n")
    tree = run("cogsguard.train", "user=mine.yaml", "mission=cogsguard_arena.basic", "--cfg", "job", "--resolve").tree
    assert tree["mission"] == MissionSettings().model_dump(mode="json")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["mission=my_misson.yaml"], ["my_misson.yaml", "did you mean my_mission.yaml"]),
        (["mission=bad.yaml"], ["bad.yaml:cog.heart_limt", "did you mean heart_limit"]),
        (["mission=my_mission.yaml", "mission.map.hub.pds=3"], ["mission.map.hub.pads", "from the word"]),
        (["mission=my_mission.yaml", "mission.cogs=3"], ["team 'cogs' has 3 agents, map 0 has only 2 pads"]),
        (["mission=my_mission.yaml", "mission.map.picture=rom.txt"], ["rom.txt", "did you mean room.txt"]),
    ],
)
def test_what_is_wrong_is_said_in_one_line(words: list[str], expected: list[str], file: str, run: Runner) -> None:
    Path("bad.yaml").write_text("cog: {heart_limt: 3}\n")
    outcome = run("cogsguard.train", *words, "--dry-run")
    assert (outcome.code, outcome.out, len(outcome.err.splitlines())) == (2, "", 1), outcome.err
    assert all(part in outcome.err for part in expected), outcome.err


def test_an_evaluation_mission_and_a_file_are_evaluated(file: str, run: Runner) -> None:
    for mission, name in ((file, "my_mission"), ("diagnostic_memory", "evals.diagnostic_memory")):
        outcome = run(
            "cogsguard.evaluate", f"mission={mission}", "policy_uri=random", "episodes=2", "format=json", "device=cpu"
        )
        document = json.loads(outcome.out)
        assert (document["mission"], document["episodes"]) == (name, 2), outcome.err
