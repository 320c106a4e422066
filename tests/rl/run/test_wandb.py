"""Weights & Biases: the real client against a small W&B on this machine, well and out of order."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from metta.common.wandb_client import artifact_name, wandb_client
from metta.rl.run import wandb_logger
from metta.rl.run.run_folder import RunFolder
from metta.rl.run.settings import WandbSettings
from metta.rl.run.wandb_logger import WandbLogger, offline_records
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from tests.wandb_server import KEY, Mood, WandbServer, serving

Config = Callable[..., RunConfig]
TREE = {"trainer": {"batch_size": 512}}
CODE = {"version": "0.1.0", "commit": "c0ffee", "dirty": True}
AT_ONCE = 0.5  # seconds that the trainer may wait, on a busy machine; a connection would take 2


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WandbServer]:
    """W&B as the environment names it, with someone logged in."""
    monkeypatch.setattr(wandb_logger, "INIT_SECONDS", 30)  # patient, for busy machines
    monkeypatch.setattr(wandb_logger, "RETRY_SECONDS", (0.1,))
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    with suppress(Exception):
        wandb_client().teardown()  # the client may remember another test's server
    with serving() as server:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        yield server
    for thread in threading.enumerate():
        if thread.name == "wandb":
            thread.join(30)
    with suppress(Exception):
        wandb_client().teardown()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "anna's run:1")
    folder.path.mkdir()
    return folder


def logger(run: RunFolder, mode: str = "online", **settings: object) -> WandbLogger:
    return WandbLogger(WandbSettings.model_validate({"mode": mode, **settings}), run, TREE, CODE)


def report(logger: WandbLogger, epochs: range) -> float:
    """Log a line per epoch; returns the longest that a call took, in seconds."""
    longest = 0.0
    for epoch in epochs:
        begin = time.perf_counter()
        logger.log({"metric/epoch": epoch, "metric/agent_step": epoch * 512, "overview/reward": float(epoch)})
        longest = max(longest, time.perf_counter() - begin)
    return longest


def epochs_at(server: WandbServer) -> list[int]:
    """The epochs that the one run there has, in the order of its lines."""
    (lines,) = server.history.values()
    assert [line["_step"] for line in lines] == [line["metric/epoch"] for line in lines]
    return [line["metric/epoch"] for line in lines]


def wait_for_record(run: RunFolder) -> None:
    """Until the record is open."""
    deadline = time.monotonic() + 40
    while not list(run.path.glob("wandb/run-*/files/composed_tree.yaml")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def sync(*paths: Path) -> None:
    command = [sys.executable, "-m", "wandb", "sync", "--include-online", *map(str, paths)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def test_a_run_is_recorded_with_settings_code_and_tree(server: WandbServer, run: RunFolder) -> None:
    sender = logger(run, tags=["first", "arena"], group="night", notes="a note", project="cogs", entity="team")
    report(sender, range(1, 6))
    sender.finish()
    ((id, record),) = server.runs.items()
    config = {key: part["value"] for key, part in json.loads(record["config"]).items()}
    assert config["trainer"] == TREE["trainer"] and config["code"] == CODE
    facts = (record["displayName"], record["project"], record["entity"], record["groupName"], record["notes"])
    assert facts == ("anna's run:1", "cogs", "team", "night", "a note")
    assert record["tags"] == ["first", "arena"]
    assert yaml.safe_load(server.files[f"{id}/composed_tree.yaml"]) == TREE
    assert epochs_at(server) == [1, 2, 3, 4, 5]
    axes = json.loads(record["config"])["_wandb"]["value"]["m"]
    assert {"1": "metric/agent_step", "6": [], "7": []} in axes


def test_a_checkpoint_is_a_version_of_the_runs_artifact_with_its_files_at_the_root(
    server: WandbServer, run: RunFolder
) -> None:
    bundle = run.checkpoint(3)
    bundle.mkdir(parents=True)
    (bundle / "policy_spec.json").write_text('{"net": "lstm"}')
    (bundle / "model.safetensors").write_bytes(b"weights")
    sender = logger(run)
    report(sender, range(1, 4))
    sender.log_checkpoint(bundle, 3, 1536, passing=False, best=True)
    sender.finish()
    (artifact,) = server.artifacts
    assert (artifact["name"], artifact["type"], artifact["committed"]) == ("anna-s-run-1", "model", True)
    assert sorted(artifact["aliases"]) == ["best", "epoch-3", "latest"]
    facts = {"run": "anna's run:1", "epoch": 3, "agent_steps": 1536, "score": 3.0, "spec": {"net": "lstm"}}
    assert artifact["metadata"] == facts
    assert server.files["artifact0/model.safetensors"] == b"weights"
    manifest = json.loads(server.files["artifact0/wandb_manifest.json"])
    assert set(manifest["contents"]) == {"policy_spec.json", "model.safetensors"}


def test_an_artifact_is_named_after_its_run_less_what_wandb_does_not_allow() -> None:
    assert artifact_name("anna/arena v2:ü_1.x-y") == "anna-arena-v2--_1.x-y"
    assert len(artifact_name("x" * 300)) == 128


def test_a_resumed_run_goes_on_in_the_same_record_and_repeats_nothing(server: WandbServer, run: RunFolder) -> None:
    for total, epochs in ((512, range(1, 6)), (1024, range(4, 9))):  # killed after epoch 5, resumed after epoch 3
        sender = WandbLogger(WandbSettings(mode="online"), run, {"trainer": {"total_timesteps": total}}, CODE)
        report(sender, epochs)
        sender.finish()
    (record,) = server.runs.values()
    assert json.loads(record["config"])["trainer"]["value"] == {"total_timesteps": 1024}
    assert epochs_at(server) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_run_that_ends_with_an_error_is_marked_failed_there(server: WandbServer, run: RunFolder) -> None:
    for error in (None, ZeroDivisionError):
        sender = logger(run)
        with suppress(ZeroDivisionError):
            try:
                report(sender, range(1, 2))
                if error:
                    raise error
            finally:
                sender.finish()
    assert server.exit_codes == [0, 1]


@pytest.mark.parametrize("mood", ["refuses", "hangs", "resets", "fails", "forbids", "a key that is none"])
def test_without_a_connection_the_record_is_kept_here_and_can_be_sent_later(
    mood: str, server: WandbServer, run: RunFolder, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wandb_logger, "INIT_SECONDS", 2)
    if mood == "refuses":
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    elif mood == "a key that is none":
        monkeypatch.setenv("WANDB_API_KEY", "abc")
    else:
        server.mood = _mood(mood)
    sender = logger(run)
    assert report(sender, range(1, 6)) < AT_ONCE
    begin = time.monotonic()
    sender.finish()
    assert time.monotonic() - begin < 30
    captured = capfd.readouterr()
    assert "no connection" in captured.out and "Traceback" not in captured.err
    (record,) = offline_records(run.path)
    assert shlex.join(["wandb", "sync", "--include-online", str(record)]) in captured.out
    if mood == "refuses":
        wandb_client().teardown()
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        sync(record)
        assert epochs_at(server) == [1, 2, 3, 4, 5]
        assert offline_records(run.path) == []


@pytest.mark.parametrize("mood", ["hangs", "resets"])
def test_an_outage_in_mid_run_loses_nothing_and_never_stalls(
    mood: str, server: WandbServer, run: RunFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    sender = logger(run)
    report(sender, range(1, 3))
    wait_for_record(run)
    server.mood = _mood(mood)
    assert report(sender, range(3, 9)) < AT_ONCE
    begin = time.monotonic()
    sender.finish()
    assert time.monotonic() - begin < 20
    captured = capfd.readouterr()
    assert "to send the rest: wandb sync --include-online" in captured.out and "Traceback" not in captured.err
    server.mood = "well"
    (record,) = (folder for folder in (run.path / "wandb").glob("run-*") if not folder.is_symlink())
    sync(record)
    assert epochs_at(server) == list(range(1, 9))


def test_a_client_that_dies_is_replaced_by_a_record_on_this_machine(server: WandbServer, run: RunFolder) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    sender = logger(run)
    report(sender, range(1, 3))
    wait_for_record(run)
    for child in psutil.Process().children(recursive=True):
        if child.pid not in before:
            child.kill()
    for epoch in range(3, 13):
        report(sender, range(epoch, epoch + 1))
        time.sleep(0.1)
    sender.finish()
    assert len(offline_records(run.path)) == 1


def test_what_waits_is_bounded_and_what_is_left_out_is_counted(
    server: WandbServer, run: RunFolder, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wandb_logger, "QUEUE_LENGTH", 4)
    monkeypatch.setattr(wandb_logger, "INIT_SECONDS", 2)
    server.mood = "hangs"
    sender = logger(run)
    assert report(sender, range(1, 11)) < AT_ONCE
    sender.finish()
    assert "6 reports left out" in capfd.readouterr().err


def test_a_checkpoint_that_is_gone_costs_a_line_and_nothing_else(
    server: WandbServer, run: RunFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    sender = logger(run)
    sender.log_checkpoint(run.checkpoint(1), 1, 512, passing=True)
    report(sender, range(1, 4))
    sender.finish()
    assert "checkpoint anna's run:1:v1 not sent" in capfd.readouterr().err
    assert epochs_at(server) == [1, 2, 3]


def test_training_logs_every_epoch_and_checkpoint(server: WandbServer, config: Config) -> None:
    settings = config(wandb={"mode": "online"}, trainer={"total_timesteps": 1024})
    assert train(settings).finished
    assert epochs_at(server) == [1, 2]
    assert [artifact["metadata"]["epoch"] for artifact in server.artifacts] == [1, 2]
    (lines,) = server.history.values()
    written = [json.loads(line) for line in (_folder(settings) / "metrics.jsonl").read_text().splitlines()]
    assert [written[0].keys() - line.keys() for line in lines] == [set(), set()]
    starts = [json.loads(line) for line in (_folder(settings) / "starts.jsonl").read_text().splitlines()]
    assert [start["epoch"] for start in starts] == [0] and set(starts[0]) >= {"time", "commit", "dirty", "version"}


def test_offline_keeps_a_record_with_the_checkpoints_and_online_without_login_does_too(
    server: WandbServer, config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    settings = config(wandb={"mode": "offline"}, trainer={"total_timesteps": 512})
    assert train(settings).finished and server.asked == []
    assert "wandb: kept on this machine; to send it: wandb sync" in capfd.readouterr().out
    sync(*offline_records(_folder(settings)))
    assert epochs_at(server) == [1] and server.artifacts[0]["committed"]
    wandb_client().teardown()  # it remembers the login
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    shutil.rmtree(_folder(settings))
    assert train(config(wandb={"mode": "online"}, trainer={"total_timesteps": 512})).finished
    assert "no login found" in capfd.readouterr().out
    assert len(offline_records(_folder(settings))) == 1


def test_ctrl_c_with_a_server_that_hangs_saves_and_ends_with_0(server: WandbServer, config: Config) -> None:
    settings = config(wandb={"mode": "online"}, trainer={"total_timesteps": 10_000_000})
    server.mood = "hangs"
    code = "import sys; from metta.rl import trainer; from metta.rl.run import wandb_logger\n"
    code += "from metta.rl.settings import RunConfig\n"
    code += "wandb_logger.INIT_SECONDS = 2; trainer.train(RunConfig.model_validate_json(sys.argv[1]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, settings.model_dump_json()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    metrics, deadline = _folder(settings) / "metrics.jsonl", time.monotonic() + 90
    while not (metrics.exists() and metrics.read_text().count("\n") > 2):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of the group
    begin = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "; stopped" in out and "Traceback" not in err
    assert time.monotonic() - begin < 30


STOPPED = """
import sys
from metta.rl import trainer; from metta.rl.run import wandb_logger
from metta.rl.settings import RunConfig
wandb_logger.INIT_SECONDS, wandb_logger.FINISH_SECONDS, wandb_logger.END_SECONDS = 3, 1, 1
trainer.train(RunConfig.model_validate_json(sys.argv[1]))
print("trained", flush=True)
"""


def test_a_service_that_hangs_keeps_no_finished_run_alive(server: WandbServer, config: Config) -> None:
    """Stopped by a signal it neither answers nor ends."""
    settings = config(wandb={"mode": "online"}, trainer={"total_timesteps": 10_000_000})
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, settings.model_dump_json()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 90
    while not list(_folder(settings).glob("wandb/run-*/files/composed_tree.yaml")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    services = [child for child in psutil.Process(process.pid).children(recursive=True) if "wandb" in child.name()]
    for service in services:
        service.suspend()
    process.send_signal(signal.SIGTERM)
    begin = time.monotonic()
    try:
        out, err = process.communicate(timeout=90)
    finally:
        for part in (process, *services):
            with suppress(psutil.NoSuchProcess):
                part.kill()
    assert process.returncode == 0 and "trained" in out and "Traceback" not in err, err
    assert "wandb sync" in out or "given up" in err
    assert time.monotonic() - begin < 60
    assert services


def test_nothing_of_the_client_is_left_to_wait_for_once_a_run_has_finished(server: WandbServer, run: RunFolder) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    sender = logger(run)
    report(sender, range(1, 4))
    sender.finish()
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert epochs_at(server) == [1, 2, 3]


def _folder(config: RunConfig) -> Path:
    return Path(config.system.data_dir) / str(config.run)


def _mood(name: str) -> Mood:
    return name  # pyright: ignore[reportReturnType]
