"""Benchmarks take what the product takes, and fail in one line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import (
    adapters,
    checkpoint_stall,
    cloning,
    curriculum_cost,
    env_profile,
    env_throughput,
    evaluation,
    gpu_report,
    interval_coverage,
    league_load,
    league_matches,
    npc_cost,
    policies,
    puffer,
    reproduction,
    sweep_overhead,
    train_throughput,
)
from tests.postgres import postgres

__all__ = ["postgres"]
ROOT = Path(__file__).parents[1]
ALL = (
    adapters, checkpoint_stall, cloning, curriculum_cost, env_profile, env_throughput, evaluation, gpu_report,
    interval_coverage, league_load, league_matches, npc_cost, policies, puffer, reproduction, sweep_overhead,
    train_throughput,
)  # fmt: skip


def only_line(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1 and said.err.startswith("error: "), said
    return said.err


@pytest.mark.parametrize("benchmark", ALL, ids=lambda module: module.__name__)
def test_a_wrong_flag_is_one_line(benchmark, capsys: pytest.CaptureFixture[str]):
    assert benchmark.main(["--nonsense", "3"]) == 2
    assert "--nonsense" in only_line(capsys)


@pytest.mark.parametrize(
    ("benchmark", "argv", "expected"),
    [
        (adapters, ["--envs", "0"], "0 is below 1"),
        (adapters, ["--seconds", "nan"], "nan is not above 0"),
        (adapters, ["--mission", "basik"], "did you mean basic"),
        (checkpoint_stall, ["--rounds", "0"], "0 is below 1"),
        (checkpoint_stall, ["--nets", "3M"], "'3M'"),
        (cloning, ["--episodes", "many"], "'many' is no whole number"),
        (env_profile, ["--rounds", "0"], "0 is below 1"),
        (env_profile, ["--agents", "5000"], "mission.num_agents=5000"),
        (env_throughput, ["--backend", "cud"], "cuda"),
        (env_throughput, ["--threads", "-1"], "-1 is below 1"),
        (env_throughput, ["--envs", "2", "0"], "0 is below 1"),
        (env_throughput, ["--mission", "gone.yaml"], "no file 'gone.yaml'"),
        (evaluation, ["rolle"], "did you mean role"),
        (evaluation, ["--steps", "0"], "0 is below 1"),
        (interval_coverage, ["--evaluations", "0"], "0 is below 1"),
        (league_load, ["--policies", "1"], "1 is below 2"),
        (league_load, ["--rate", "0"], "0 is not above 0"),
        (league_load, ["--database", "mysql://x"], "sqlite:///PATH and postgresql+psycopg"),
        (league_matches, ["scriptet"], "there are scripted and code"),
        (league_matches, ["--mission", "basik"], "did you mean basic"),
        (npc_cost, ["--share", "-1"], "-1 is not above 0"),
        (policies, ["rolle"], "did you mean role"),
        (policies, ["--steps", "10000000000"], "mission.max_steps"),
        (reproduction, ["rolle", "--no-device"], "did you mean role"),
        (reproduction, ["--cogs", "none"], "'none' is no whole number"),
        (sweep_overhead, ["--workers", "0"], "0 is below 1"),
        (train_throughput, ["--threads", "0"], "0 is below 1"),
        (train_throughput, ["--backend", "cud"], "cuda"),
        (train_throughput, ["--warmup", "-1"], "-1 is below 0"),
    ],
)
def test_a_wrong_value_is_one_line(benchmark, argv: list[str], expected: str, capsys: pytest.CaptureFixture[str]):
    assert benchmark.main(argv) == 2
    assert expected in only_line(capsys)


TINY = ["--agents", "2", "--envs", "2", "--horizon", "8"]


def apart(name: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: these keep it to one core."""
    command = [sys.executable, f"benchmarks/{name}.py", *TINY, *argv]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_throughput_is_measured_of_any_option_of_the_agent_group():
    done = apart("train_throughput", "--policy", "small", "--epochs", "1", "--warmup", "0", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["policy"] == "small"


def test_the_stall_of_a_checkpoint_is_measured_with_what_it_takes_on_disk():
    command = [
        sys.executable,
        "benchmarks/checkpoint_stall.py",
        "--nets",
        "0.2M",
        "--envs",
        "2",
        "--rounds",
        "1",
        "--json",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)["nets"]["0.2M"]
    assert (
        measured["bundle_bytes"] > 4 * measured["parameters"] and measured["on_disk_ms"][0] >= measured["stall_ms"][0]
    )


def test_the_cost_of_npcs_is_measured_of_any_option_of_the_agent_group():
    done = apart("npc_cost", "--policy", "lstm", "--rounds", "1", "--minibatches", "2")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["policy"] == "lstm"


def alone(name: str, *argv: str) -> dict[str, Any]:
    """What a benchmark measures, with all that it starts."""
    command = [sys.executable, f"benchmarks/{name}.py", "--json", *argv]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.soak
def test_a_league_is_read_ranked_and_uploaded_to_without_an_error(postgres: str):
    small = ["--policies", "40", "--matches", "400", "--rate", "40", "--seconds", "1", "--uploads", "2", "--each", "1"]
    found = alone("league_load", *small, "--database", postgres)
    answers = {**found["reads"], **found["other_reads"], "uploads": found["uploads"]}
    assert {name: row["errors"] for name, row in answers.items()} == dict.fromkeys(answers, 0)
    assert found["reads"]["leaderboard"]["bytes"] > 40 * 100 and found["uploads"]["answers"] == 2


@pytest.mark.soak
def test_episodes_are_counted_of_matches_that_workers_play():
    [row] = alone("league_matches", "scripted", "--steps", "10", "--seconds", "1", "--matches", "200")["rows"]
    assert row["players"] == 2 and row["episodes_per_second"] > 0


@pytest.mark.parametrize(
    ("name", "argv", "expected"),
    [
        ("train_throughput", ["--policy", "smal"], "did you mean small"),
        ("train_throughput", ["--precision", "bf17"], "trainer.precision"),
        ("train_throughput", ["--device", "cpu", "--backend", "cuda"], "env.backend=cuda"),
        ("npc_cost", ["--share", "1.5"], "policy_a_percentage"),
    ],
)
def test_what_the_product_refuses_benchmarks_refuse(name: str, argv: list[str], expected: str):
    done = apart(name, *argv)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and expected in done.stderr, done.stderr
