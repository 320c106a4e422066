"""Resuming under other circumstances: another device, another backend, another number of threads."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save

from metta.common.ranks import available_cores
from metta.config.composition import compose_saved
from metta.policy.stored.uri import find_bundle
from metta.rl.run.snapshot import Snapshot, load_snapshot
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from tests.rl.states import change_state, state_files

Config = Callable[..., RunConfig]
LONGER = {"total_timesteps": 1536}


@pytest.fixture
def resumed(config: Config, tmp_path: Path) -> Callable[..., Any]:
    """Train two epochs, change what was saved, train a third."""

    def run(change: Callable[[Snapshot], Snapshot], **changes: Any) -> Any:
        train(config(trainer={"total_timesteps": 1024}))
        change_state(tmp_path / "tiny" / "trainer_state" / "v2", change)
        return train(config(trainer=LONGER, **changes))

    return run


def from_a_gpu(snapshot: Snapshot) -> Snapshot:
    """As if saved on CUDA, where a generator's state has 16 bytes."""
    states = {name: torch.arange(16, dtype=torch.uint8) for name in snapshot.own if name.startswith("generator.")}
    return replace(snapshot, machine={"device": "cuda", "torch": torch.__version__}, own=snapshot.own | states)


def test_a_checkpoint_of_another_device_goes_on_with_one_line(
    resumed: Callable[..., Any], config: Config, capsys: pytest.CaptureFixture
) -> None:
    assert resumed(from_a_gpu).epoch == 3
    said = [line for line in capsys.readouterr().err.splitlines() if "run=tiny" in line]
    assert len(said) == 1 and "device cpu (before: cuda)" in said[0] and "threads" in said[0]
    assert all(
        torch.isfinite(part).all() for part in find_bundle(str(config().system.data_dir) + "/tiny").weights.values()
    )


def test_a_checkpoint_of_another_device_goes_on_the_same_way_each_time(
    resumed: Callable[..., Any], config: Config, tmp_path: Path
) -> None:
    weights = []
    for _ in range(2):
        resumed(from_a_gpu)
        weights.append(find_bundle(str(tmp_path / "tiny")).weights)
        (tmp_path / "tiny").rename(tmp_path / f"done{len(weights)}")
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_environments_of_another_backend_begin_anew_and_the_rest_goes_on(
    resumed: Callable[..., Any], capsys: pytest.CaptureFixture
) -> None:
    def from_another_backend(snapshot: Snapshot) -> Snapshot:
        kept = {name: part for name, part in snapshot.own.items() if "map_" not in name}
        return replace(snapshot, fingerprint=snapshot.fingerprint | {"env.backend": "another"}, own=kept)

    summary = resumed(from_another_backend)
    assert (summary.epoch, summary.agent_steps) == (3, 1536)
    assert "changed since the checkpoint (env.backend); new episodes start" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"training_env": {"map_pool": 6}}, "training_env.map_pool"),
        ({"mission": {"max_steps": 30}, "system": {"seed": 8}}, "mission, system.seed"),
        ({"training_env": {"num_envs": 4}}, "training_env.num_envs"),
    ],
)
def test_what_makes_new_episodes_start_is_named(
    resumed: Callable[..., Any], capsys: pytest.CaptureFixture, changes: dict[str, Any], named: str
) -> None:
    assert resumed(lambda snapshot: snapshot, **changes).finished
    assert f"changed since the checkpoint ({named}); new episodes start" in capsys.readouterr().err


def test_what_a_run_takes_of_the_machine_is_kept_so_that_it_can_be_repeated(config: Config, tmp_path: Path) -> None:
    train(config(system={"threads": None, "device": "auto"}, trainer={"total_timesteps": 512}))
    kept = yaml.safe_load((tmp_path / "tiny" / "config.yaml").read_text())["system"]
    assert kept["threads"] == available_cores() and kept["device"] in ("cpu", "cuda", "mps")
    again = compose_saved(str(tmp_path / "tiny"), [], "").config
    assert (again.system.threads, again.system.device) == (kept["threads"], kept["device"])


def test_another_number_of_threads_is_told(resumed: Callable[..., Any], capsys: pytest.CaptureFixture) -> None:
    assert resumed(lambda snapshot: snapshot, system={"threads": 2}).finished
    assert "threads 2 (before: 1)" in capsys.readouterr().err


def test_what_only_the_machine_before_had_is_no_hindrance(
    resumed: Callable[..., Any], capsys: pytest.CaptureFixture
) -> None:
    """As from the processor, where threads count, to a device."""
    before = {"device": "elsewhere", "streams": "3", "threads": "1", "torch": torch.__version__}
    assert resumed(lambda snapshot: replace(snapshot, machine=before)).finished
    said = capsys.readouterr().err
    assert "device cpu (before: elsewhere)" in said and "streams" not in said


def test_another_number_of_processes_begins_new_episodes_and_the_rest_goes_on(
    resumed: Callable[..., Any], config: Config, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    summary = resumed(lambda snapshot: replace(snapshot, ranks=4))
    assert (summary.epoch, summary.agent_steps) == (3, 1536)
    told = [line for line in capsys.readouterr().err.splitlines() if "run=tiny" in line]
    assert told == ["warning: run=tiny: trained by 1 processes, before by 4; new episodes start"]
    steps = load_snapshot(tmp_path / "tiny" / "trainer_state" / "v3").shared["optimizer.0.step"]
    assert float(steps) == 3 * 4  # of epochs with 4 minibatches


def test_a_state_of_the_former_format_goes_on_bit_by_bit(config: Config, tmp_path: Path) -> None:
    """One file for all, without ranks and ranking."""
    ends = []
    for former in (False, True):
        train(config(trainer={"total_timesteps": 1024}))
        if former:
            write_former(tmp_path / "tiny" / "trainer_state" / "v2")
        train(config(trainer=LONGER))
        ends.append(state_files(tmp_path / "tiny" / "trainer_state" / "v3"))
        (tmp_path / "tiny").rename(tmp_path / f"done{former}")
    assert ends[0] == ends[1]


def write_former(folder: Path) -> None:
    """Make a state one of format 2, as its writer did."""
    state = load_snapshot(folder)
    data = save({**state.shared, **state.own})
    numbers = json.loads((folder / "state.json").read_text())
    kept = {key: numbers[key] for key in ("progress", "world", "machine")}
    numbers = {"format": 2, **kept, "sha256": hashlib.sha256(data).hexdigest()}
    check = hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()
    for file in folder.iterdir():
        file.unlink()
    (folder / "state.safetensors").write_bytes(data)
    (folder / "state.json").write_text(json.dumps({**numbers, "check": check}))


def test_a_state_of_a_later_format_is_told_and_the_one_before_taken(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    train(config(trainer={"total_timesteps": 1024}))
    path = tmp_path / "tiny" / "trainer_state" / "v2" / "state.json"
    numbers = json.loads(path.read_text()) | {"format": 9}
    numbers["check"] = hashlib.sha256(
        json.dumps({key: part for key, part in numbers.items() if key != "check"}, sort_keys=True).encode()
    ).hexdigest()
    path.write_text(json.dumps(numbers))
    assert train(config(trainer=LONGER)).epoch == 3
    assert "is of format 9, this version reads formats up to 3: update metta; taking" in capsys.readouterr().err
