"""Processes of this machine, each with its share of the cores and GPUs."""

import os
import subprocess
from typing import Self

from metta.common.ranks import available_cores, own_cores
from metta.executors.process import Task, start_process
from metta.executors.settings import LocalSettings


def local_places(settings: LocalSettings) -> int:
    """How many at a time."""
    return available_cores() if settings.n_jobs == -1 else settings.n_jobs


class LocalExecutor:
    """Shares out this machine among so many places."""

    def __init__(self, places: int) -> None:
        self._cores = own_cores()
        self._gpus, self._places = _gpus(), places
        self._started: list[LocalProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.kill()

    def start(self, task: Task, place: int) -> "LocalProcess":
        cores, gpus = (_part(units, place, self._places) for units in (self._cores, self._gpus))
        environment = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}
        self._started.append(LocalProcess(start_process(task, environment, cores)))
        return self._started[-1]


class LocalProcess:
    """A process of this machine."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def poll(self) -> int | None:
        return self._process.poll()

    def stop(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _part(units: list, place: int, places: int) -> list:
    """What one of several places has of cores or GPUs: its own, or one with others where there are fewer."""
    return units[place::places] or units[place % len(units) :][:1] if units else []


def _gpus() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES has for them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    import torch  # here because it takes seconds to import

    return [str(index) for index in range(torch.cuda.device_count())]
