"""Where workers may work: a journal is for one machine, a database for many."""

import socket
from pathlib import Path

import pytest

from metta.executors.executor import run_tasks
from metta.executors.local import LocalExecutor
from metta.executors.process import Task
from metta.sweep.worker import Share, worker_task
from tests.sweep.conftest import MakePlan


def told(task: Task, folder: Path) -> tuple[int, str]:
    """The exit code of a worker, and what it says."""
    codes: list[int] = []
    output = folder / "told"
    run_tasks(
        LocalExecutor(1), [task.model_copy(update={"output": output})], 1, lambda _, code: bool(codes.append(code))
    )
    return codes[0], output.read_text()


def test_a_worker_on_another_machine_than_the_journals_is_refused(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # or torch would be asked
    task = worker_task(make_plan(), 0)
    given = Share.model_validate_json(task.given).model_copy(update={"machine": "head"})
    code, says = told(task.model_copy(update={"given": given.model_dump_json(by_alias=True)}), tmp_path)
    here = socket.gethostname()
    assert (code, says.count("\n")) == (2, 1)
    assert f"error: a journal is for workers of one machine, head; this is {here}: sweep.storage=postgresql" in says
