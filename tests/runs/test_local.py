"""Runs in train_dir, as the tools read them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metta.common.errors import UserError
from metta.rl.run.run_folder import RunFolder, open_run
from metta.rl.run.run_lock import LOCK, hold_lock
from metta.runs.compare import compare, settings
from metta.runs.local import LocalRuns, read_run
from metta.runs.run import Query
from tests.runs.conftest import line, tree

Make = Callable[..., Path]


def state(folder: Path) -> str:
    return read_run(RunFolder(folder)).state


def test_a_run_is_its_settings_its_newest_values_and_its_newest_checkpoint(make_run: Make) -> None:
    wandb = {"tags": ["arena", "night"], "group": "g"}
    rows = [line(1, env_agent__heart_0gained=0.5, losses__entropy=1.5), line(2, losses__entropy=1.25)]
    run = read_run(RunFolder(make_run("a", tree(wandb=wandb), rows, checkpoints=2)))
    assert run.config["trainer"]["total_timesteps"] == 3000 and run.setting("mission.name") == "cogsguard_arena.basic"
    assert (run.steps, run.metrics["env_agent/heart.gained"], run.metrics["losses/entropy"]) == (2000, 0.5, 1.25)
    assert run.uri == f"{run.place}:v2"
    assert run.code == {"version": "0.1.0", "commit": "c0ffee", "dirty": False}
    assert (run.tags, run.group) == (("arena", "night"), "g")
    assert run.created == datetime(2026, 1, 16, 12, tzinfo=UTC)


def test_a_run_has_finished_once_all_its_steps_are_done(make_run: Make) -> None:
    assert state(make_run("done")) == "finished"
    assert state(make_run("half", rows=[line(1)])) == "stopped"
    assert state(make_run("new", rows=[])) == "stopped"


def test_a_run_is_running_while_its_lock_is_held_and_crashed_if_it_never_signed_off(tmp_path: Path) -> None:
    with open_run(tmp_path, "a") as folder:
        folder.keep_config(tree(), 0)
        assert state(folder.path) == "running"
    assert state(folder.path) == "stopped"
    with pytest.raises(ZeroDivisionError), open_run(tmp_path, "a"):
        _ = 1 / 0
    assert state(folder.path) == "crashed"


def test_a_look_at_a_run_does_not_keep_it_from_starting(make_run: Make) -> None:
    folder = make_run("a")
    for _ in range(3):
        state(folder)
    with hold_lock(folder):
        pass


def test_a_run_without_a_noted_start_counts_from_its_oldest_file(make_run: Make) -> None:
    folder = make_run("old")
    (folder / "starts.jsonl").unlink()
    run = read_run(RunFolder(folder))
    assert abs((datetime.now(UTC) - run.created).total_seconds()) < 60 and run.code == {}


def test_every_start_is_noted_with_its_code(tmp_path: Path) -> None:
    with open_run(tmp_path, "a") as folder:
        folder.note_start(0, {"commit": "one", "dirty": True})
        folder.note_start(7, {"commit": "two", "dirty": False})
    noted = [json.loads(text) for text in folder.starts.read_text().splitlines()]
    assert [(one["epoch"], one["commit"], one["dirty"]) for one in noted] == [(0, "one", True), (7, "two", False)]


@pytest.mark.parametrize("damage", ["config: [", "\x00", "a: " + "[" * 500, "a: &n {b: *n}", "- a list"])
def test_a_run_whose_settings_cannot_be_read_is_shown_without_them(
    make_run: Make, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run("a")
    (folder / "config.yaml").write_text(damage)
    run = read_run(RunFolder(folder))
    assert run.config == {} and run.steps == 3000
    assert damage == "- a list" or "shown without its settings" in capsys.readouterr().err


def test_settings_of_other_shapes_than_ours_do_no_harm(make_run: Make) -> None:
    folder = make_run("a")
    (folder / "config.yaml").write_text("{wandb: offline, trainer: [1], 7: x, day: 2026-01-01}")
    run = read_run(RunFolder(folder))
    assert (run.tags, run.group, run.state, run.setting("trainer.losses")) == ((), None, "stopped", None)
    assert dict(settings(run))["7"] == "x"


def test_a_cut_last_line_is_passed_over(make_run: Make) -> None:
    folder = make_run("a")
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"metric/agent_step": 9')
    assert read_run(RunFolder(folder)).steps == 3000


def test_runs_are_found_by_pattern_state_tag_group_and_time_newest_first(make_run: Make, tmp_path: Path) -> None:
    make_run("anna.1", tree(wandb={"tags": ["x"], "group": "g"}), start="2026-01-01T00:00:00+00:00")
    make_run("anna.2", rows=[line(1)], start="2026-01-03T00:00:00+00:00")
    make_run("bert", start="2026-01-02T00:00:00+00:00")
    (tmp_path / "train_dir" / "notes").mkdir()
    source = LocalRuns(tmp_path / "train_dir")

    def names(**query: object) -> list[str]:
        return [run.name for run in source.runs(Query(**query))]  # pyright: ignore[reportArgumentType]

    assert names() == ["anna.2", "bert", "anna.1"]
    assert names(names=("anna.*",)) == ["anna.2", "anna.1"]
    assert names(state="finished") == ["bert", "anna.1"]
    assert names(tag="x") == names(group="g") == ["anna.1"]
    assert names(since=datetime(2026, 1, 2, tzinfo=UTC)) == ["anna.2", "bert"]
    assert names(limit=1) == ["anna.2"]


def test_names_that_mean_no_run_are_refused_with_the_nearest(make_run: Make, tmp_path: Path) -> None:
    make_run("aligner.1")
    source = LocalRuns(tmp_path / "train_dir")
    with pytest.raises(UserError, match=r"no run 'aligner\.2' \(did you mean aligner\.1\?\)"):
        source.named(["aligner.2"])
    with pytest.raises(UserError, match=r"nowhere: no runs can be read there \(No such file or directory\)"):
        LocalRuns(tmp_path / "nowhere").folders()


def test_runs_are_compared_by_what_differs(make_run: Make) -> None:
    left = make_run("a", tree(agent={"name": "lstm"}, teacher=None, wandb={"mode": "off"}))
    right = make_run("b", tree(agent={"name": "lstm"}, teacher={"mode": "supervisor"}, evals={"missions": {}}))
    found = compare([read_run(RunFolder(folder)) for folder in (left, right)], ["overview/reward"])
    assert found.settings == {"teacher.mode": [None, "supervisor"]}
    assert found.code["commit"] == ["c0ffee", "c0ffee"]
    assert found.metrics == {"overview/reward": [1.5, 1.5]}


def test_the_lock_names_its_holder(tmp_path: Path) -> None:
    with open_run(tmp_path, "a") as folder, pytest.raises(UserError, match="run=a: in use by process"):
        (folder.path / LOCK).touch()
        with hold_lock(folder.path):
            pass
