"""Sweeps of real, tiny trainings: killed in the middle, they lose nothing and run nothing twice."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from metta.common.jsonl import read_rows
from metta.sweep.results import Results, read_plan, read_results

ROOT = Path(__file__).parents[2]
LIMIT = 600.0  # seconds until a test gives up
SWEEP = """
settings:
  env: gymnasium
  env.name: CartPole-v1
  agent: mlp
  trainer: classic
  trainer.total_timesteps: 6144
  checkpointer.epoch_interval: 1
parameters:
  trainer.optimizer.learning_rate: {log: [0.001, 0.01]}
objective: {take: last}
budget: {trials: 4}
"""

pytest.importorskip("gymnasium", reason="needs the extra 'gymnasium'")


class Driver:
    """`tools/run.py RECIPE --sweep FILE` in a process of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        (folder / "tiny.yaml").write_text(SWEEP)
        command = [sys.executable, str(ROOT / "tools/run.py"), "cogsguard.train", "--sweep", "tiny.yaml", *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def below(self, module: str) -> list[psutil.Process]:
        """The processes that it, or what it started, has started with a module."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if module in process.cmdline():
                    found.append(process)
        return found

    def until_trained(self, runs: list[Path]) -> None:
        """Wait until each of the runs has reported an epoch."""
        deadline = time.monotonic() + LIMIT
        while not all(run.exists() and run.stat().st_size for run in runs):
            assert time.monotonic() < deadline and self.process.poll() is None, self.process.communicate()[0]
            time.sleep(0.05)


@pytest.fixture
def drivers() -> Iterator[list[Driver]]:
    """Those of a test; none outlives it."""
    started: list[Driver] = []
    yield started
    for driver in started:
        driver.process.kill()
        driver.process.communicate()


def found(folder: Path) -> Results:
    return read_results(read_plan("tiny", folder / "train_dir"))


def epochs(folder: Path, number: int) -> list[float]:
    return [
        row["metric/epoch"] for row in read_rows(folder / "train_dir/tiny" / f"trial-{number:04}" / "metrics.jsonl")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["journal", pytest.param("postgres", marks=pytest.mark.soak)])
def test_a_sweep_whose_trial_worker_and_driver_are_killed_loses_nothing(
    tmp_path: Path, drivers: list[Driver], storage: str, request: pytest.FixtureRequest
) -> None:
    most = 100  # epochs: a trial still runs when it is killed, however long a busy machine takes to find it
    words = ["sweep.workers=2", f"trainer.total_timesteps={most * 512}", "trainer.batch_size=512"]
    words.append("checkpointer.epoch_interval=10")
    if storage == "postgres":
        words += [f"sweep.storage={request.getfixturevalue('postgres')}", "sweep.lost_after=4"]
    drivers.append(first := Driver(tmp_path, *words))
    trials = [tmp_path / "train_dir/tiny" / f"trial-{number:04}" / "metrics.jsonl" for number in range(4)]
    first.until_trained(trials[:2])
    running = first.below("metta.config.job_process")
    killed = next(process for process in running if "trial-0001" in str(process.open_files()))
    killed.kill()  # a trial
    first.until_trained(trials[:3])
    first.below("metta.sweep.worker")[0].kill()
    time.sleep(1)
    left = first.below("metta.sweep.worker") + first.below("metta.config.job_process")
    first.process.kill()  # the driver
    first.process.wait()
    psutil.wait_procs(left, LIMIT)
    drivers.append(second := Driver(tmp_path, *words))
    told, _ = second.process.communicate(timeout=LIMIT)
    assert second.process.returncode == 0, told
    results = found(tmp_path)
    states = {trial.number: trial.state for trial in results.trials}
    assert states == {0: "finished", 1: "failed", 2: "finished", 3: "finished"}, told
    assert "killed by SIGKILL" in results.trials[1].problem
    assert all(epochs(tmp_path, number) == [*range(1, most + 1)] for number in (0, 2, 3))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a sweep of two trials has run."""
    folder = tmp_path_factory.mktemp("swept")
    ran(folder, "run=tiny", "sweep.budget.trials=2")
    return folder


def ran(folder: Path, *words: str) -> None:
    """Run a sweep to its end."""
    process = Driver(folder, *words).process
    told, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, told
    assert "trial 1: learning_rate=" in told  # wherever the worker is that says so


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["ray", "submitit_local"])
def test_sweeps_from_one_seed_are_the_same_wherever_they_run(
    executor: str, swept: Path, request: pytest.FixtureRequest
) -> None:
    words = ["hydra/sweeper=metta", "hydra.sweeper.n_trials=2", f"hydra/launcher={executor}", f"run={executor}"]
    if executor == "ray":
        words.append(f"hydra.launcher.ray.init.address={request.getfixturevalue('ray_cluster')}")
    else:
        pytest.importorskip("submitit", reason="needs the extra 'slurm'")
    ran(swept, *words)
    values = []
    for name in ("tiny", executor):
        trials = read_results(read_plan(name, swept / "train_dir")).trials
        values.append([(trial.state, trial.values, trial.score, trial.agent_steps) for trial in trials])
    assert values[0] == values[1] and len(values[0]) == 2


@pytest.mark.slow
def test_trials_are_ordinary_runs(swept: Path) -> None:
    trial = read_results(read_plan("tiny", swept / "train_dir")).trials[1]
    run, rate = swept / "train_dir/tiny/trial-0001", trial.values["trainer.optimizer.learning_rate"]
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert saved["trainer"]["optimizer"]["learning_rate"] == rate and saved["wandb"]["group"] == "tiny"
    assert f"trainer.optimizer.learning_rate={rate}" in yaml.safe_load((run / "overrides.yaml").read_text())
    assert json.loads((run / "summary.json").read_text())["objective"] == trial.score


@pytest.mark.slow
def test_a_metric_that_no_run_reports_ends_the_sweep_and_is_put_right_without_loss(
    tmp_path: Path, drivers: list[Driver]
) -> None:
    told = []
    for metric in ("overview/rewrd", "overview/reward"):
        words = ("sweep.budget.trials=1", f"sweep.objective.metric={metric}")
        drivers.append(driver := Driver(tmp_path, *words))
        told.append(driver.process.communicate(timeout=LIMIT)[0])
    problem = "error: objective.metric=overview/rewrd: the run reports no such metric (did you mean overview/reward"
    assert problem in told[0] and drivers[0].process.returncode == 2
    assert drivers[1].process.returncode == 0, told[1]
    assert [trial.state for trial in found(tmp_path).trials] == ["finished"]
    assert epochs(tmp_path, 0) == [1, 2, 3]
