"""Whole runs on the real engine: learning, stopping, resuming, failing."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from metta.common.errors import UserError
from metta.policy.stored.uri import find_bundle, list_versions
from metta.rl.run.metrics import read_metrics
from metta.rl.run.snapshot import load_snapshot
from metta.rl.settings import RunConfig
from metta.rl.trainer import train

Config = Callable[..., RunConfig]


def folder(config: RunConfig) -> Path:
    return Path(config.system.data_dir) / str(config.run)


def without_clock(line: dict[str, float]) -> dict[str, float]:
    """A metrics line less what depends on the machine's speed."""
    clocks = ("timing", "monitor", "overview/sps", "metric/train_time", "metric/total_time")
    return {name: value for name, value in line.items() if not name.startswith(clocks)}


def test_a_run_leaves_checkpoints_metrics_and_its_settings(config: Config) -> None:
    settings = config()
    summary = train(settings)
    assert summary.finished and summary.agent_steps == 2048 and summary.epoch == 4
    run = folder(settings)
    assert [version.epoch for version in list_versions(run)] == [1, 2, 3, 4]
    assert find_bundle(str(run)).agent_steps == 2048
    lines = read_metrics(run / "metrics.jsonl")
    assert [line["metric/agent_step"] for line in lines] == [512, 1024, 1536, 2048]
    for name in (
        "losses/policy_loss", "losses/value_loss", "losses/entropy", "losses/approx_kl", "losses/clipfrac",
        "losses/explained_variance", "overview/reward", "overview/sps", "env_agent/heart.gained", "monitor/memory_gb",
        "env_collective/cogs/aligned.junction.held", "env_game/tokens_written", "hyperparameters/learning_rate",
        "env_per_label_rewards/cogsguard_arena.basic.credit", "experience/rewards", "experience/area_under_reward",
        "timing_per_epoch/frac/env", "timing_per_epoch/msec/backward", "timing_cumulative/sps", "metric/total_time",
        "timing_per_epoch/sps", "metric/train_time", "metric/epoch", "monitor/cpu_percent", "losses/importance",
        "overview/reward/cogsguard_arena.basic.credit", "overview/heart_count", "env_attributes/steps",
        "experience/values", "experience/advantages", "experience/actions/noop", "hyperparameters/prio_beta",
        "trainer_memory/policy_mb", "trainer_memory/optimizer_mb", "trainer_memory/experience_mb",
    ):  # fmt: skip
        assert name in lines[-1], name
    assert RunConfig.model_validate(yaml.safe_load((run / "config.yaml").read_text())) == settings


def test_only_whole_episodes_count_in_the_statistics(config: Config) -> None:
    """First episodes are cut at random to spread the ends; their returns would bias the curve."""
    settings = config(trainer={"total_timesteps": 4096})
    train(settings)
    lines = read_metrics(folder(settings) / "metrics.jsonl")
    assert {line["env_attributes/steps"] for line in lines if "env_attributes/steps" in line} == {24}


def test_a_resumed_run_is_bitwise_the_uninterrupted_one(config: Config) -> None:
    whole, halves = config(run="whole"), config(run="halves")
    train(whole)
    stopped = config(run="halves", trainer={"total_timesteps": 1024})
    # The learning rate follows the length of the run, so the first half must know the whole length.
    interrupted(stopped, whole.trainer.total_timesteps)
    assert train(halves).finished
    one, other = (read_metrics(folder(settings) / "metrics.jsonl") for settings in (whole, halves))
    assert [without_clock(line) for line in one] == [without_clock(line) for line in other]
    left, right = (find_bundle(str(folder(settings))).weights for settings in (whole, halves))
    assert all(torch.equal(left[name], right[name]) for name in left)


def interrupted(config: RunConfig, total: int) -> None:
    """Train towards `total` steps but stop, as by a signal, once config's total is reached."""
    reached = config.trainer.total_timesteps
    config.trainer.total_timesteps = total
    script = SIGNALLED.format(steps=reached)
    process = subprocess.run([sys.executable, "-c", script], input=config.model_dump_json(), text=True, check=False)
    assert process.returncode == 0


SIGNALLED = """
import os, signal, sys
from metta.rl import trainer
from metta.rl.settings import RunConfig
report = trainer.Trainer.report
def reporting(self, *told):
    report(self, *told)
    if self.progress.agent_steps >= {steps}:
        os.kill(os.getpid(), signal.SIGTERM)
trainer.Trainer.report = reporting
trainer.train(RunConfig.model_validate_json(sys.stdin.read()))
"""


def test_a_finished_run_says_so_and_changes_nothing(config: Config, capsys: pytest.CaptureFixture) -> None:
    train(config())
    before = (folder(config()) / "metrics.jsonl").read_bytes()
    assert train(config()).finished
    assert "has finished" in capsys.readouterr().out
    assert (folder(config()) / "metrics.jsonl").read_bytes() == before


def test_resuming_drops_metrics_after_the_checkpoint_and_keeps_the_old_settings(config: Config) -> None:
    first = config(checkpointer={"epoch_interval": 2}, trainer={"total_timesteps": 1536})
    train(first)
    run = folder(first)
    broken = max(list_versions(run), key=lambda version: version.epoch)  # the last, odd one
    (broken.folder / "model.safetensors").write_bytes(b"torn")
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"metric/epoch": 3, "torn')
    summary = train(config(trainer={"total_timesteps": 2048}))
    assert summary.epoch == 4
    assert [line["metric/epoch"] for line in read_metrics(run / "metrics.jsonl")] == [1, 2, 3, 4]
    old = yaml.safe_load((run / "config.v2.yaml").read_text())
    assert old["trainer"]["total_timesteps"] == 1536


@pytest.mark.parametrize("name", ["shared.safetensors", "rank-0-of-1.safetensors", "state.json"])
def test_a_damaged_trainer_state_falls_back_to_the_one_before(config: Config, name: str) -> None:
    settings = config()
    train(settings)
    path = folder(settings) / "trainer_state" / "v4" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert train(config(trainer={"total_timesteps": 2560})).epoch == 5
    assert load_snapshot(folder(settings) / "trainer_state" / "v5").progress.agent_steps == 2560


def test_environments_that_changed_start_anew_with_a_warning(config: Config, capsys: pytest.CaptureFixture) -> None:
    train(config())
    changed = config(trainer={"total_timesteps": 4096, "batch_size": 1024})
    assert train(changed).finished
    assert "new episodes start" in capsys.readouterr().err


def test_another_network_under_the_same_name_is_refused(config: Config) -> None:
    train(config())
    with pytest.raises(UserError, match="choose another run name"):
        train(config(agent={"hidden_size": 32}, trainer={"total_timesteps": 4096}))


def test_two_runs_of_one_name_at_once_are_refused(config: Config) -> None:
    run = folder(config())
    run.mkdir(parents=True)
    with open(run / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        with pytest.raises(UserError, match="in use by process 4711"):
            train(config())
    assert train(config()).finished


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_built(config: Config, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"system\.data_dir"):
        train(config(system={"data_dir": str(tmp_path / "file" / "train_dir")}))


def test_divergence_stops_the_run_and_keeps_the_last_good_checkpoint(config: Config) -> None:
    train(config(trainer={"total_timesteps": 1024}))
    with pytest.raises(UserError, match=r"diverged in epoch 3: losses/.* is (nan|inf).*checkpoint is v2"):
        train(config(trainer={"optimizer": {"learning_rate": 1e37}}))
    bundle = find_bundle(str(folder(config())))
    assert bundle.epoch == 2 and all(torch.isfinite(tensor).all() for tensor in bundle.weights.values())


def test_a_full_disk_costs_a_checkpoint_but_not_the_run(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    train(config(trainer={"total_timesteps": 512}))
    free = iter([1000, 1000, 10**12])
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("usage", (), {"free": next(free, 1000)})())
    assert train(config()).finished
    assert capsys.readouterr().err.count("disk is full") == 2
    assert [version.epoch for version in list_versions(folder(config()))] == [1, 4]
    with pytest.raises(UserError, match="epoch 5 could not be saved"):
        train(config(trainer={"total_timesteps": 2560}))
    assert [version.epoch for version in list_versions(folder(config()))] == [1, 4]


@pytest.mark.parametrize("file", ["metrics.jsonl", "starts.jsonl"])
def test_what_is_open_is_closed_if_the_reports_cannot_be_opened(config: Config, file: str) -> None:
    settings = config(training_env={"num_workers": 2, "num_envs": 64}, trainer={"batch_size": 4096})
    (folder(settings) / file).mkdir(parents=True)
    before = set(threading.enumerate())
    with pytest.raises(UserError, match=rf"{file}: cannot be used \(Is a directory\)"):
        train(settings)
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive(), thread


@pytest.mark.parametrize(
    "changes",
    [
        {"trainer": {"batch_size": 2**50, "minibatch_size": 2**50}},
        {"training_env": {"map_pool": 2**45}},
    ],
)
def test_what_no_memory_holds_is_one_line(config: Config, changes: dict) -> None:
    with pytest.raises(UserError, match=r"run=tiny: not enough memory for the batch \(trainer\.batch_size\)"):
        train(config(**changes))


def test_what_is_open_is_closed_if_a_run_cannot_go_on(config: Config) -> None:
    train(config())
    before = set(threading.enumerate())
    with pytest.raises(UserError, match="another network"):
        train(config(agent={"hidden_size": 32}, trainer={"total_timesteps": 4096}))
    assert set(threading.enumerate()) <= before


def test_only_the_newest_checkpoints_are_kept_when_asked(config: Config) -> None:
    settings = config(checkpointer={"keep_last": 2})
    train(settings)
    assert [version.epoch for version in list_versions(folder(settings))] == [3, 4]
    assert sorted(entry.name for entry in (folder(settings) / "trainer_state").iterdir()) == ["v3", "v4"]


def test_gradient_steps_end_early_above_the_target_kl(config: Config) -> None:
    learning = {"optimizer": {"learning_rate": 0.01}, "update_epochs": 4, "total_timesteps": 512}
    train(config(run="free", trainer=learning))
    train(config(run="held", trainer={**learning, "losses": {"ppo_actor": {"target_kl": 1e-3}}}))
    free, held = (read_metrics(folder(config(run=run)) / "metrics.jsonl")[0] for run in ("free", "held"))
    assert held["losses/approx_kl"] < free["losses/approx_kl"]


def start(config: RunConfig) -> subprocess.Popen:
    script = "import sys; from metta.rl.settings import RunConfig; from metta.rl.trainer import train; "
    script += "train(RunConfig.model_validate_json(sys.argv[1]))"
    return subprocess.Popen([sys.executable, "-c", script, config.model_dump_json()], stdout=subprocess.DEVNULL)


def wait_for_epoch(run: Path, epoch: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (run / "checkpoints").is_dir() and any(version.epoch >= epoch for version in list_versions(run)):
            return
        time.sleep(0.02)
    raise AssertionError(f"no checkpoint v{epoch} within a minute")


def test_kill_in_mid_run_loses_at_most_one_interval(config: Config) -> None:
    settings = config(trainer={"total_timesteps": 10_000_000})
    process = start(settings)
    wait_for_epoch(folder(settings), 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    written = len(read_metrics(folder(settings) / "metrics.jsonl"))
    newest = list_versions(folder(settings))[-1].epoch
    assert newest >= written - 1
    assert train(config(trainer={"total_timesteps": (newest + 1) * 512})).epoch == newest + 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_cleanly(config: Config, number: signal.Signals) -> None:
    settings = config(trainer={"total_timesteps": 10_000_000}, checkpointer={"epoch_interval": 10_000})
    process = start(settings)
    run = folder(settings)
    deadline = time.monotonic() + 60
    while not ((run / "metrics.jsonl").exists() and read_metrics(run / "metrics.jsonl")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(30) == 0
    lines = read_metrics(run / "metrics.jsonl")
    assert find_bundle(str(run)).epoch == lines[-1]["metric/epoch"]


def test_saved_state_is_plain_tensors_and_json(config: Config) -> None:
    train(config())
    state = folder(config()) / "trainer_state" / "v4"
    assert {entry.name for entry in state.iterdir()} == {"state.json", "shared.safetensors", "rank-0-of-1.safetensors"}
    assert json.loads((state / "state.json").read_text())["progress"]["epoch"] == 4
    assert "optimizer.0.exp_avg" in load_file(state / "shared.safetensors")
    assert os.listdir(folder(config()) / "checkpoints" / "tiny:v4") != []
