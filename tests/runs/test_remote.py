"""Runs at W&B: the public API of the real client against a small W&B on this machine."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metta.common.errors import UserError
from metta.rl.run.run_folder import RunFolder
from metta.rl.run.settings import WandbSettings
from metta.rl.run.wandb_logger import WandbLogger
from metta.runs import remote
from metta.runs.remote import WandbRuns
from metta.runs.run import Query
from tests.runs.conftest import Outcome, line, tree
from tests.wandb_server import WandbServer

Make = Callable[..., Path]
Tool = Callable[..., Outcome]
SNIPPET = """
import wandb
api = wandb.Api()
runs = api.runs('metta-research/metta', filters={'state': 'finished'}, order='-created_at')
for run in runs[:5]:
    print(f"{run.name}: wandb://metta-research/metta/model/{run.name}:latest")
"""


@pytest.fixture
def five(server: WandbServer) -> WandbServer:
    """Five runs, a day apart; the odd ones crashed."""
    for index in range(5):
        rows = [line(epoch, overview__reward=index * epoch) for epoch in (1, 2, 3)]
        state = "crashed" if index % 2 else "finished"
        facts = {"state": state, "createdAt": f"2026-01-1{index}T12:00:00Z", "tags": ["odd"] if index % 2 else ["even"]}
        server.add_run(f"anna.{index}", tree(agent={"name": "lstm"}), rows, **facts)
    return server


def test_runs_come_page_by_page_newest_first(five: WandbServer) -> None:
    runs = WandbRuns(None, "metta").runs(Query())
    assert [run.name for run in runs] == [f"anna.{index}" for index in (4, 3, 2, 1, 0)]
    assert five.asked.count("Runs") == 3
    newest = runs[0]
    assert (newest.state, newest.steps, newest.metrics["overview/reward"]) == ("finished", 3000, 12)
    assert newest.setting("agent.name") == "lstm" and newest.created == datetime(2026, 1, 14, 12, tzinfo=UTC)
    assert newest.uri == "wandb://team/metta/model/anna.4:latest"
    assert newest.place == f"{five.url}/team/metta/runs/id4"


def test_the_server_is_asked_for_no_more_than_fits(five: WandbServer) -> None:
    source = WandbRuns("team", "metta")

    def names(**query: object) -> list[str]:
        return [run.name for run in source.runs(Query(**query))]  # pyright: ignore[reportArgumentType]

    assert names(limit=2) == ["anna.4", "anna.3"] and five.asked.count("Runs") == 1
    assert names(state="crashed") == names(tag="odd") == ["anna.3", "anna.1"]
    assert names(names=("*.[24]",)) == ["anna.4", "anna.2"]
    assert names(names=("anna.3", "bert*")) == ["anna.3"]
    assert names(since=datetime(2026, 1, 13, 12, tzinfo=UTC)) == ["anna.4", "anna.3"]
    filters = [json.loads(asked["filters"]) for asked in five.variables["Runs"]]
    assert {"state": "crashed"} in filters and {"displayName": {"$regex": r"^anna\.3|^bert"}} in filters
    assert {"createdAt": {"$gte": "2026-01-13T12:00:00Z"}} in filters


def test_a_curve_comes_as_the_server_samples_it(five: WandbServer) -> None:
    source = WandbRuns("team", "metta")
    (run,) = source.runs(Query(names=("anna.2",)))
    curves = source.history(run, ["overview/reward", "losses/entropy"])
    assert curves == {"overview/reward": [(1000, 2), (2000, 4), (3000, 6)], "losses/entropy": []}


def test_what_training_sent_is_what_the_tools_read(server: WandbServer, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "anna's run")
    folder.path.mkdir()
    settings = WandbSettings(mode="online", tags=["t"], group="g")
    sender = WandbLogger(settings, folder, tree(), {"commit": "c0ffee", "dirty": False, "version": "0.1.0"})
    for epoch in (1, 2):
        sender.log(line(epoch, overview__reward=epoch / 2))
    sender.finish()
    (run,) = WandbRuns(None, "metta").runs(Query(tag="t", group="g"))
    assert (run.name, run.steps, run.metrics["overview/reward"]) == ("anna's run", 2000, 1.0)
    assert run.config == tree() and run.code["commit"] == "c0ffee"
    assert run.uri == "wandb://team/metta/model/anna-s-run:latest"


def test_the_list_has_a_line_per_finished_run_with_score_day_and_uri(five: WandbServer, tool: Tool) -> None:
    done = tool("list_wandb_runs", "--limit", "2")
    header, rule, *rows = done.out.splitlines()
    assert header.split("  ")[0] == "Run Name" and header.endswith("WandB URI") and set(rule) == {"-"}
    assert rows[0].split() == ["anna.4", "12", "2026-01-14", "wandb://team/metta/model/anna.4:latest"]
    assert len(rows) == 2 and rows[1].startswith("anna.2")
    assert "N/A" in tool("list_wandb_runs", "--limit", "1", "--metric", "losses/entropy").out


def test_the_list_comes_as_uris_and_as_json_too(five: WandbServer, tool: Tool) -> None:
    uris = tool("list_wandb_runs", "--format", "uris", "--limit", "5", "--entity", "metta-research").out.split()
    assert uris == [f"wandb://metta-research/metta/model/anna.{index}:latest" for index in (4, 2, 0)]
    found = json.loads(tool("list_wandb_runs", "--format", "json", "--limit", "3", "--state", "any").out)
    assert [(run["name"], run["score"]) for run in found] == [("anna.4", 12), ("anna.3", 9), ("anna.2", 6)]


def test_the_snippet_that_asks_wandb_directly_runs_as_typed(
    five: WandbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(SNIPPET, {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "anna.4: wandb://metta-research/metta/model/anna.4:latest" and len(lines) == 3


def test_without_a_login_train_dir_is_listed_and_a_line_says_so(nobody: None, make_run: Make, tool: Tool) -> None:
    make_run("good", checkpoints=2)
    done = tool("list_wandb_runs", "--limit", "10")
    assert done.code == 0 and "good" in done.out and "train_dir/good:v2" in done.out
    assert done.err.startswith("warning: no W&B login") and done.err.count("\n") == 1
    assert tool("list_wandb_runs", "--format", "uris").out == "train_dir/good:v2\n"
    done = tool("list_wandb_runs", "--project", "metta")
    assert done.code == 2 and done.err.startswith("error: no W&B login: wandb login, or WANDB_API_KEY; --local FOLDER")


@pytest.mark.parametrize("mood", ["hangs", "resets", "fails"])
def test_a_server_that_does_not_answer_costs_one_line(
    mood: str, server: WandbServer, monkeypatch: pytest.MonkeyPatch, tool: Tool
) -> None:
    monkeypatch.setattr(remote, "SECONDS", 2)
    server.mood = mood  # pyright: ignore[reportAttributeAccessIssue]
    begin = time.monotonic()
    done = tool("list_wandb_runs")
    assert done.code == 2 and done.err.startswith("error: W&B") and done.err.count("\n") == 1
    assert time.monotonic() - begin < 20


def test_a_project_that_is_not_there_costs_one_line(server: WandbServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "on_Runs", lambda given: {"project": None})
    with pytest.raises(UserError, match=r"W&B team/nowhere: .*nowhere"):
        WandbRuns("team", "nowhere").runs(Query())


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--format", "uri"], "--format: unknown 'uri' (did you mean uris?)"),
        (["--limit", "0"], "0 is below 1"),
        (["--entty", "x"], "unknown --entty (did you mean --entity?)"),
        (["--local", "nowhere"], "nowhere: no runs can be read there"),
        (["--local", "train_dir", "--entity", "x"], "--local: --entity and --project are of W&B"),
    ],
)
def test_bad_input_is_one_line(nobody: None, make_run: Make, tool: Tool, words: list[str], problem: str) -> None:
    make_run("good")
    done = tool("list_wandb_runs", *words)
    assert done.code == 2 and problem in done.err and done.err.count("\n") == 1
