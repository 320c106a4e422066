"""tools/runs.py: what it prints, draws and removes."""

import json
import os
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metta.rl.run.run_folder import open_run
from tests.runs.conftest import Outcome, line, tree

Make = Callable[..., Path]
Tool = Callable[..., Outcome]


def age(folder: Path, days: int) -> None:
    then = datetime.now(UTC).timestamp() - days * 86400
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (then, then))


def test_the_list_shows_each_run_in_a_line(make_run: Make, tool: Tool) -> None:
    make_run("good", checkpoints=3)
    make_run("new", rows=[])
    done = tool("runs", "list")
    assert done.code == 0
    cells = {text.split()[0]: text.split() for text in done.out.splitlines()[2:]}
    assert cells["good"][1] == "finished" and cells["good"][4:6] == ["3,000", "1.5"]
    assert cells["good"][-1] == "train_dir/good:v3"
    assert cells["new"][1] == "stopped" and cells["new"][-2:] == ["none", "yet"]


def test_the_list_as_json_holds_settings_and_metrics(make_run: Make, tool: Tool) -> None:
    make_run("good", tree(agent={"name": "lstm"}))
    (found,) = json.loads(tool("runs", "list", "--format", "json").out)
    assert (found["name"], found["state"], found["steps"]) == ("good", "finished", 3000)
    assert found["config"]["agent"]["name"] == "lstm" and found["metrics"]["overview/reward"] == 1.5


def test_compare_shows_only_what_differs(make_run: Make, tool: Tool) -> None:
    make_run("a", tree(trainer={"total_timesteps": 3000, "batch_size": 512, "bptt_horizon": 8}))
    make_run("b", tree(trainer={"total_timesteps": 3000, "batch_size": 1024, "bptt_horizon": 8}))
    rows = [text.split() for text in tool("runs", "compare", "a", "b").out.splitlines()]
    assert ["trainer.batch_size", "512", "1024"] in rows
    assert not any("bptt_horizon" in " ".join(row) for row in rows)
    found = json.loads(tool("runs", "compare", "a", "b", "--format", "json").out)
    assert found["settings"] == {"trainer.batch_size": [512, 1024]}


def test_plot_draws_a_panel_per_metric(make_run: Make, tool: Tool, tmp_path: Path) -> None:
    rows = [line(epoch, overview__reward=epoch, losses__entropy=1 / epoch) for epoch in range(1, 50)]
    make_run("a", rows=rows)
    make_run("b", rows=rows[:1])
    done = tool("runs", "plot", "a", "b", "--metric", "losses/entropy", "--metric", "overview/reward")
    assert (done.code, done.out) == (0, "curves.png: entropy of the policy (nats), reward per episode of a, b\n")
    data = (tmp_path / "curves.png").read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    assert data.startswith(b"\x89PNG") and width > 2 * height


def test_plot_of_a_run_without_an_episode_shows_the_reward_of_its_steps(make_run: Make, tool: Tool) -> None:
    rows = [line(epoch, overview__reward_per_1000_steps=epoch, losses__approx_kl=0.1) for epoch in range(1, 4)]
    make_run("early", rows=rows)
    make_run("late")
    assert tool("runs", "plot", "early").out == "curves.png: reward per 1,000 agent-steps of early\n"
    told = "reward per episode, reward per 1,000 agent-steps"
    assert tool("runs", "plot", "early", "late").out == f"curves.png: {told} of early, late\n"


def test_prune_says_what_goes_and_how_much_and_removes_it(make_run: Make, tool: Tool, tmp_path: Path) -> None:
    doomed, kept = make_run("test.1", checkpoints=5), make_run("good", checkpoints=1)
    dry = tool("runs", "prune", "test.*", "--dry-run")
    assert "goes: test.1: the whole run, 5 checkpoints" in dry.out and "nothing is removed" in dry.out
    assert doomed.is_dir()
    done = tool("runs", "prune", "test.*", "--yes")
    freed = float(done.out.splitlines()[-1].split()[0])
    assert done.code == 0 and 500 < freed < 600 and done.out.endswith("kB freed\n")
    assert not doomed.exists() and sorted(tmp_path.glob("train_dir/.*")) == [] and len(list(kept.rglob("*"))) == 7


def test_prune_leaves_the_best_checkpoint(make_run: Make, tool: Tool) -> None:
    folder = make_run("a", checkpoints=5)
    (folder / "best.json").write_text('{"epoch": 2}')
    assert "3 of 5 checkpoints, up to v4" in tool("runs", "prune", "a", "--checkpoints", "1", "--yes").out
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["a:v2", "a:v5"]


def test_prune_can_thin_the_checkpoints_only(make_run: Make, tool: Tool) -> None:
    folder = make_run("a", checkpoints=12)
    done = tool("runs", "prune", "a", "--checkpoints", "2", "--yes")
    assert "10 of 12 checkpoints, up to v10" in done.out
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["a:v11", "a:v12"]
    assert (folder / "metrics.jsonl").is_file()
    for more in ("2", "3", "99"):
        assert "0 runs, 0 bytes" in tool("runs", "prune", "a", "--checkpoints", more, "--yes").out


def test_prune_removes_old_runs_only_if_asked_by_age(make_run: Make, tool: Tool) -> None:
    old, young = make_run("old"), make_run("young")
    age(old, days=9)
    done = tool("runs", "prune", "--older-than", "7", "--yes")
    assert "last written 9 days ago" in done.out
    assert not old.exists() and young.exists()


def test_prune_leaves_running_runs_and_links_alone(make_run: Make, tool: Tool, tmp_path: Path) -> None:
    elsewhere = make_run("elsewhere").rename(tmp_path / "elsewhere")
    (tmp_path / "train_dir" / "link").symlink_to(elsewhere)
    with open_run(tmp_path / "train_dir", "busy") as folder:
        folder.keep_config(tree(), 0)
        done = tool("runs", "prune", "*", "--yes")
    assert "stays: busy: running" in done.out and "stays: link: a link to" in done.out
    assert folder.path.is_dir() and (elsewhere / "metrics.jsonl").is_file()


def test_a_run_that_starts_between_the_look_and_the_removal_stays(
    make_run: Make, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = make_run("a", checkpoints=1), make_run("b")
    monkeypatch.setattr("metta.runs.prune.is_running", lambda path: False)
    with open_run(tmp_path / "train_dir", "a"):
        done = tool("runs", "prune", "*", "--yes")
    assert "stays: run=a: in use by process" in done.out
    assert (folder / "checkpoints" / "a:v1").is_dir() and not other.exists()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["lst"], "unknown 'lst' (did you mean list?)"),
        (["list", "--stat", "running"], "unknown --stat (did you mean --state?)"),
        (["list", "--state", "runing"], "--state: unknown 'runing' (did you mean running?)"),
        (["list", "--limit", "0"], "0 is below 1"),
        (["list", "--limit", "x"], "'x' is no whole number"),
        (["list", "--data-dir", "nowhere"], "nowhere: no runs can be read there"),
        (["compare", "good"], "good: 1 run, it takes 2"),
        (["compare", "good", "goood"], "no run 'goood' (did you mean good?)"),
        (["plot", "good", "--metric", "overview/rewrd"], "none of the 1 runs reports it (did you mean overview/reward"),
        (["plot", "new"], "the runs have reported nothing yet"),
        (["plot", "good", "--output", "nowhere/a.png"], "nowhere/a.png: cannot be written"),
        (["prune"], "say which runs"),
        (["prune", "good"], "nobody is there to be asked; --yes removes them"),
        (["prune", "../good", "--yes"], "no run '../good' (did you mean good?)"),
    ],
)
def test_bad_input_is_one_line_with_the_nearest_names(
    make_run: Make, tool: Tool, words: list[str], problem: str
) -> None:
    make_run("good")
    make_run("new", rows=[])
    done = tool("runs", *words)
    assert done.code == 2
    assert problem in done.err and done.err.startswith("error: ") and done.err.count("\n") == 1


def test_to_refuse_when_asked_removes_nothing(make_run: Make, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run("a")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert tool("runs", "prune", "a").code == 0 and folder.is_dir()
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert tool("runs", "prune", "a").code == 0 and not folder.is_dir()
