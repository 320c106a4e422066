"""What the best runs have in common: by hand, on runs as in the analysis that the command repeats, there and here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from metta.runs.analysis import Analysis, analyze
from metta.runs.local import LocalRuns
from metta.runs.report import to_markdown
from metta.runs.run import Query
from tests.runs.conftest import Outcome, line, tree
from tests.wandb_server import WandbServer

Make = Callable[..., Path]
Tool = Callable[..., Outcome]
HEARTS = "env_agent/heart.gained"
# The published table: name, hearts, state, day.
TABLE = (
    ("relh.machina1_cloner.115.2", 14.02, "running", "2026-01-16"),
    ("relh.machina1_cloner.114.35.big_teacherbc.v2", 13.52, "crashed", "2026-01-16"),
    ("relh.machina1_cloner.114.5.big3_teacherbc", 13.46, "finished", "2026-01-14"),
    ("relh.machina1_cloner.114.5.big3_teacherbc.v2", 12.08, "finished", "2026-01-16"),
    ("relh.machina1_cloner.114.35.big_teacherbc", 11.84, "finished", "2026-01-14"),
    ("relh.machina1_cloner.121.teacherbc.1", 10.62, "running", "2026-01-22"),
)
TEACHER = "metta://policy/dinky:v15"


def cloner() -> dict[str, Any]:
    losses = {
        "ppo_actor": {"clip_coef": 0.22, "ent_coef": 0.01},
        "ppo_critic": {"critic_update": "gtd_lambda", "vf_coef": 0.5},
        "sliced_scripted_cloner": {"enabled": True, "teacher_led_proportion": 0.5, "student_led_proportion": 0.5},
    }
    trainer = {"total_timesteps": 20_000_000_000, "batch_size": 2_097_152, "losses": losses}
    return tree(trainer=trainer, training_env={"supervisor_policy_uri": TEACHER})


def plain(batch_size: int) -> dict[str, Any]:
    losses = {"ppo_actor": {"clip_coef": 0.22, "ent_coef": 0.01}, "sliced_scripted_cloner": {"enabled": False}}
    return tree(trainer={"total_timesteps": 10_000_000_000, "batch_size": batch_size, "losses": losses})


@pytest.fixture
def published(server: WandbServer) -> WandbServer:
    """The eleven runs of the published analysis, and one of somebody else."""
    for name, hearts, state, day in TABLE:
        rows = [line(epoch, env_agent__heart_0gained=hearts * epoch / 4, losses__approx_kl=0.01) for epoch in range(5)]
        server.add_run(name, cloner(), rows, state=state, createdAt=f"{day}T08:00:00Z")
    for index in range(5):
        rows = [line(4, env_agent__heart_0gained=float(index), losses__approx_kl=0.02 + index / 100)]
        server.add_run(f"relh.ppo.{index}", plain(8192 << index), rows, createdAt=f"2026-01-1{index}T08:00:00Z")
    server.add_run("other.best", plain(1), [line(4, env_agent__heart_0gained=99.0)])
    return server


def found_here(make_run: Make, runs: dict[str, tuple[dict[str, Any], list[dict[str, float]]]], **how: Any) -> Analysis:
    folders = [make_run(name, config, rows) for name, (config, rows) in runs.items()]
    source = LocalRuns(folders[0].parent)
    return analyze(source, source.runs(Query()), HEARTS, **how)


def test_the_published_table_and_its_finding_come_out_again(published: WandbServer, tool: Tool) -> None:
    done = tool("analyze_wandb_runs", "relh.*", "--entity", "metta-research", "--project", "metta")
    assert done.code == 0
    rows = [[cell.strip() for cell in text.strip("|").split("|")] for text in done.out.splitlines()]
    top = [row for row in rows if row[0].startswith("relh.machina1") and len(row) > 4]
    assert [(row[0], float(row[1]), row[2], row[3]) for row in top] == list(TABLE)
    for setting, value in (
        ("training_env.supervisor_policy_uri", TEACHER),
        ("trainer.losses.sliced_scripted_cloner.enabled", "true"),
        ("trainer.losses.sliced_scripted_cloner.teacher_led_proportion", "0.5"),
        ("trainer.losses.ppo_critic.critic_update", "gtd_lambda"),
        ("trainer.batch_size", "2097152"),
        ("trainer.total_timesteps", "20000000000"),
    ):
        assert [f"`{setting}`", f"`{value}`", "6/6", "0/5", "0.0022"] in rows, setting
    assert "ppo_actor.clip_coef`" not in done.out  # the same in all
    assert ["`losses/approx_kl`", "0.01", "0.04", "below 0.03"] in rows
    assert "11 runs, by newest value, highest first" in done.out and "other.best" not in done.out
    page = f"{published.url}/metta-research/metta/runs/id0"
    assert f"- relh.machina1_cloner.115.2: {page}" in done.out
    assert "## Settings of relh.machina1_cloner.114.5.big3_teacherbc" in done.out  # the best that has finished
    settings = yaml.safe_load(done.out.split("```yaml\n")[1].removesuffix("```\n"))
    assert settings["training_env"] == {"supervisor_policy_uri": TEACHER}


def test_the_same_runs_here_give_the_same_finding(published: WandbServer, make_run: Make, tool: Tool) -> None:
    for name, hearts, *_ in TABLE:
        rows = [line(epoch, env_agent__heart_0gained=hearts * epoch / 4, losses__approx_kl=0.01) for epoch in range(5)]
        make_run(name, cloner(), rows)
    for index in range(5):
        rows = [line(4, env_agent__heart_0gained=float(index), losses__approx_kl=0.02 + index / 100)]
        make_run(f"relh.ppo.{index}", plain(8192 << index), rows)
    there = json.loads(tool("analyze_wandb_runs", "relh.*", "--format", "json").out)
    here = json.loads(tool("analyze_wandb_runs", "--local", "train_dir", "--format", "json").out)
    for part in ("shared", "numbers", "metrics", "same", "left_out", "metric", "how"):
        assert here[part] == there[part], part
    assert [run["name"] for run in here["top"]] == [run["name"] for run in there["top"]] == [row[0] for row in TABLE]


def test_report_and_picture_go_to_files(published: WandbServer, tool: Tool, tmp_path: Path) -> None:
    done = tool("analyze_wandb_runs", "relh.*", "--top", "3", "--plot", "top.png", "--output", "report.md")
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / "top.png").read_bytes().startswith(b"\x89PNG")
    report = (tmp_path / "report.md").read_text()
    assert "## The top 3" in report and "(top.png)" in report


def test_a_value_counts_where_it_is_commoner_among_the_top(make_run: Make) -> None:
    runs = {}
    for index in range(8):  # of the top four three have x=1, of the rest one; y=1 is commoner among the rest
        x, y = (1 if index in (0, 1, 2, 7) else 2), (1 if index in (0, 1, 5, 6, 7) else index)
        runs[f"r{index}"] = (tree(x=x, y=y), [line(1, env_agent__heart_0gained=10.0 - index)])
    found = found_here(make_run, runs, top=4)
    assert [one.run.name for one in found.top] == ["r0", "r1", "r2", "r3"]
    (one,) = found.shared
    assert (one.setting, one.value, one.top, one.rest) == ("x", 1, 3, 1)
    assert one.chance == pytest.approx((4 * 4 + 1) / 70)  # three or four of four marked among eight
    assert {row.name: (row.top, row.rest) for row in found.numbers} == {"x": (1, 2), "y": (1.5, 1)}


def test_by_default_at_most_half_are_the_top(make_run: Make) -> None:
    runs = {f"r{index}": (tree(), [line(1, env_agent__heart_0gained=float(index))]) for index in range(5)}
    found = found_here(make_run, runs)
    assert [one.run.name for one in found.top] == ["r4", "r3", "r2"] and len(found.rest) == 2
    assert "**No setting** is more common in the top 3" in to_markdown(found)


def test_late_and_lowest_change_the_order(make_run: Make, tool: Tool) -> None:
    steady = [line(epoch, env_agent__heart_0gained=5.0) for epoch in range(1, 41)]
    lucky = [line(epoch, env_agent__heart_0gained=9.0 if epoch == 40 else 1.0) for epoch in range(1, 41)]
    make_run("steady", rows=steady)
    make_run("lucky", rows=lucky)

    def best(*words: str) -> tuple[str, float]:
        top = json.loads(tool("analyze_wandb_runs", "--local", "train_dir", "--format", "json", *words).out)["top"]
        return top[0]["name"], top[0]["score"]

    assert best() == ("lucky", 9.0)
    assert best("--late") == ("steady", 5.0)
    assert best("--lowest") == ("steady", 5.0)
    assert best("--late", "--lowest") == ("lucky", 3.0)  # (1 + 1 + 1 + 9) / 4


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--metric", "env_agent/heart.gaind"], "none of the 2 runs reports it (did you mean env_agent/heart.gained"),
        (["--metric", "losses/entropy"], "only 1 of 2 runs reports it"),
        (["bert*"], "train_dir: no such runs"),
        (["--top", "0"], "0 is below 1"),
        (["--output", "nowhere/report.md"], "--output nowhere/report.md: cannot be written"),
        (["--plot", "nowhere/a.png"], "nowhere/a.png: cannot be written"),
        (["--formt", "json"], "did you mean --format"),
    ],
)
def test_bad_input_is_one_line(make_run: Make, tool: Tool, words: list[str], problem: str) -> None:
    make_run("a", rows=[line(1, env_agent__heart_0gained=1.0, losses__entropy=1.0)])
    make_run("b", rows=[line(1, env_agent__heart_0gained=2.0)])
    done = tool("analyze_wandb_runs", "--local", "train_dir", *words)
    assert done.code == 2 and problem in done.err and done.err.count("\n") == 1
