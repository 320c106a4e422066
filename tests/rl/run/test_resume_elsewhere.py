"""Resuming under other circumstances: another device, another backend, another number of threads."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from metta.config.composition import compose_saved
from metta.policy.stored.uri import find_bundle
from metta.rl.machine import available_cores
from metta.rl.run.snapshot import Snapshot
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from tests.rl.states import change_state

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
