"""What a run takes of the machine: processes, and of each its cores."""

from typing import Any

import pytest

from metta.common.errors import UserError
from metta.common.ranks import available_cores
from metta.config.composition import compose
from metta.config.recipes import resolve
from metta.config.words import parse_word
from metta.rl.machine import count_processes, settled
from metta.rl.rendezvous import open_world
from metta.rl.run.settings import SystemSettings
from metta.rl.settings import RunConfig
from metta.rl.world import ALONE


def launched(monkeypatch: pytest.MonkeyPatch, rank: int, size: int) -> None:
    for name, value in {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size}.items():
        monkeypatch.setenv(name, str(value))


def test_processes_of_one_machine_share_its_cores_and_each_has_at_least_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = available_cores()
    launched(monkeypatch, 0, 2)
    assert available_cores() == max(1, whole // 2)
    assert settled(SystemSettings(device="cpu")).threads == max(1, whole // 2)
    launched(monkeypatch, 0, 10 * whole)
    assert available_cores() == 1


@pytest.mark.parametrize(("nproc", "expected"), [(None, 1), (1, 1), ("auto", 1), (3, 3)])
def test_the_number_of_processes_on_a_machine_without_gpus(nproc: Any, expected: int) -> None:
    assert count_processes(SystemSettings(device="cpu", nproc=nproc)) == expected


def test_a_process_for_each_gpu_needs_one() -> None:
    with pytest.raises(UserError, match=r"system\.nproc=gpu: there is none for system\.device=cpu"):
        count_processes(SystemSettings(device="cpu", nproc="gpu"))


@pytest.mark.parametrize("word", ["0", "-1", "two", "true", "1.5", "5000"])
def test_what_is_no_number_of_processes_is_refused_with_what_is(word: str) -> None:
    with pytest.raises(UserError, match=r"system\.nproc=.*should be a number of processes from 1 to 1024, gpu or auto"):
        compose(resolve(["cogsguard.train"]), [parse_word(f"system.nproc={word}")])


def test_what_contradicts_torchrun_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, 0, 1)
    with (
        pytest.raises(UserError, match=r"system\.nproc=2: torchrun has started 1 process on this machine; leave"),
        open_world(RunConfig(system=SystemSettings(device="cpu", nproc=2))),
    ):
        raise AssertionError("it was opened")
    with open_world(RunConfig(system=SystemSettings(device="cpu", nproc="auto"))) as world:
        assert world is ALONE


def test_under_torchrun_a_run_needs_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, 1, 2)
    with pytest.raises(UserError, match="run=NAME is missing: under torchrun"):
        compose(resolve(["cogsguard.train"]), [])
    assert compose(resolve(["cogsguard.train"]), [parse_word("run=a")]).config.run == "a"
