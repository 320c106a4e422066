"""Words and files are taken as they were meant, and an error names what was meant."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from metta.cli import cogames
from metta.common.defaults import MISSION
from metta.config.composition import compose
from metta.config.files import CONFIGS
from metta.config.recipes import resolve
from metta.config.words import parse_word
from metta.game.missions import build_mission, load_mission
from metta.policy.hosted.by_class import parse_class
from metta.rl.experience.environments import find_source
from metta.rl.settings import RunConfig
from tests.config.conftest import Outcome

Runner = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_a_bare_name_of_several_sites_means_the_default_mission() -> None:
    assert load_mission("basic") == load_mission(MISSION)


def test_the_home_folder_is_meant_by_a_tilde_where_is_written_and_read(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("system: {data_dir: ~/runs}\nmission: ~/level.json\n")
    (tmp_path / "level.json").write_text('{"max_steps": 1e2, "variants": "easy"}')
    tree = run("cogsguard.train", "+user=~/mine.yaml", "--cfg", "job", "--resolve").tree
    assert tree["system"]["data_dir"] == str(tmp_path / "runs")
    assert tree["mission"]["base"]["max_steps"] == 100 and tree["mission"]["base"]["variants"] == ["easy"]
    tree = run("cogsguard.play", "save_replay_dir=~/kept", "--cfg", "job", "--resolve").tree
    assert tree["save_replay_dir"] == str(tmp_path / "kept")
    uri = "class=mine.Policy,data=~/weights.pt"
    assert parse_class(uri).data == str(tmp_path / "weights.pt")


@pytest.mark.parametrize("words", ["describe basic --save=~/a.yaml", "make-policy --scripted --output=~/a.py"])
def test_no_folder_is_named_after_a_tilde(tmp_path: Path, words: str) -> None:
    assert cogames.main(shlex.split(words)) == 0
    assert [path.stem for path in tmp_path.iterdir()] == ["a"]


def test_what_a_run_is_on_is_named_as_missions_are() -> None:
    job = compose(resolve(["cogsguard.tutorial"]), []).config
    assert isinstance(job, RunConfig) and load_mission(find_source(job).name).rewards == ["aligner"]


@pytest.mark.parametrize("option", sorted(path.stem for path in (CONFIGS / "mission").glob("*.yaml")))
def test_an_option_of_the_group_of_missions_is_what_commands_mean_by_its_name(option: str) -> None:
    job = compose(resolve(["cogsguard.train"]), [parse_word(f"mission={option}")]).config
    assert job.mission is not None and build_mission(job.mission) == load_mission(option)


@pytest.mark.parametrize("seed", ["42", "${system.seed}"])
def test_a_number_does_as_text_and_one_text_as_a_list(run: Runner, tmp_path: Path, seed: str) -> None:
    words = f'wandb: {{notes: "{seed}", tags: ["{seed}", 7]}}\nmission: {{variants: easy}}\n'
    (tmp_path / "mine.yaml").write_text(words)
    tree = run("cogsguard.train", "user=mine.yaml", "--cfg", "job", "--resolve").tree
    assert (tree["wandb"]["notes"], tree["wandb"]["tags"]) == ("42", ["42", "7"])
    assert tree["mission"]["variants"] == ["easy"]


@pytest.mark.parametrize(("name", "hint"), [("seed", "system.seed"), ("system.sed", "did you mean system.seed")])
def test_a_reference_to_nothing_names_its_key_and_its_file(run: Runner, tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"trainer:\n  total_timesteps: ${{{name}}}\n")
    outcome = run("cogsguard.train", "user=mine.yaml", "--cfg", "job", "--resolve")
    assert outcome.code == 2
    for part in ("trainer.total_timesteps", f"there is no {name}", hint, "from mine.yaml"):
        assert part in outcome.err


def test_a_reference_to_what_is_empty_is_none_to_nothing(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mission:\n  variants: ${wandb.tags}\nwandb:\n  notes: ${wandb.group}\n")
    tree = run("cogsguard.train", "user=mine.yaml", "--cfg", "job", "--resolve").tree
    assert (tree["mission"]["variants"], tree["wandb"]["notes"]) == ([], None)


def test_an_experiment_of_the_working_folder_is_hinted_at(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "configs" / "user").mkdir(parents=True)
    (tmp_path / "configs" / "user" / "mine.yaml").write_text("seed: 3\n")
    error = run("cogsguard.train", "+user=mine", "--cfg", "job", "--resolve").err
    assert "did you mean +user=./configs/user/mine.yaml?" in error and "metta/configs/user has" in error


@pytest.mark.parametrize(
    ("name", "why"), [("-x", "starts with none of . and -"), ("a" * 201, "at most 200 characters, this one has 201")]
)
def test_a_run_is_told_why_its_name_is_none(run: Runner, name: str, why: str) -> None:
    assert why in run("cogsguard.train", f"run={name}", "--cfg", "job", "--resolve").err
