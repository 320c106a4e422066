"""Processes on the nodes of a Ray cluster, each below an actor that holds what the process needs."""

import os
import re
import signal
import socket
from contextlib import suppress
from typing import Any, Self

from metta.common.errors import MissingExtraError, UserError
from metta.executors.process import Task, start_process
from metta.executors.settings import RayOptions

try:
    import ray
    from ray.exceptions import RayError
except ImportError:
    raise MissingExtraError("ray", "ray") from None

WAIT = 10.0  # seconds in which an actor answers


class Host:
    """The actor: starts the process of a task and tells how it ends."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._process = start_process(Task.model_validate(task))

    def wait(self) -> int:
        return self._process.wait()

    def stop(self, number: int) -> None:
        self._process.send_signal(number)


class RayExecutor:
    """A cluster that is there, or one that is started here."""

    def __init__(self, options: RayOptions) -> None:
        """Raises UserError where the cluster does not answer or has no node for a process."""
        self._options = options
        _check_answers(options)
        given = {key: value for key, value in options.init.model_dump().items() if value is not None}
        try:
            ray.init(**given, logging_level="error", include_dashboard=False if "address" not in given else None)
        except (ConnectionError, RuntimeError, ValueError, RayError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(f"no Ray cluster at {_address(options)}: {reason}") from None
        self._check_room()
        remote = options.remote
        self._host = ray.remote(
            num_cpus=remote.num_cpus, num_gpus=remote.num_gpus, resources=remote.resources, max_concurrency=2
        )(Host)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        ray.shutdown()  # which ends the actors, with whom their processes end

    def start(self, task: Task, place: int) -> "RayProcess":
        return RayProcess(self._host.remote(task.model_dump(mode="json")))

    def _check_room(self) -> None:
        """What no node has would be waited for without end."""
        remote = self._options.remote
        wanted = {"CPU": remote.num_cpus, "GPU": remote.num_gpus, **remote.resources}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(all(node.get(name, 0) >= count for name, count in wanted.items()) for node in nodes):
            ray.shutdown()
            told = ", ".join(f"{count:g} {name}" for name, count in wanted.items() if count)
            most = ", ".join(f"{max(node.get(name, 0) for node in nodes):g} {name}" for name in wanted)
            raise UserError(f"no node of the Ray cluster has {told} for a process (ray.remote.…); the most is {most}")


class RayProcess:
    """A process below an actor."""

    def __init__(self, host: Any) -> None:
        self._host, self._begun, self._code = host, host.__ray_ready__.remote(), host.wait.remote()
        self._cancelled = False
        self._ended: int | None = None

    def poll(self) -> int | None:
        if self._ended is None and (self._cancelled or ray.wait([self._code], timeout=0)[0]):
            try:
                self._ended = ray.get(self._code)
                ray.kill(self._host)  # it holds what the next one waits for
            except RayError:  # the actor is gone, or its node is
                self._ended = -signal.SIGKILL
        return self._ended

    def stop(self, number: int) -> None:
        if not ray.wait([self._begun], timeout=0)[0]:
            self._cancelled = True
            return ray.kill(self._host)
        with suppress(RayError):
            ray.get(self._host.stop.remote(number), timeout=WAIT)


def _check_answers(options: RayOptions) -> None:
    """Ray itself tries for minutes."""
    place = re.fullmatch(r"(?:ray://)?([^:/]+):(\d+)", _address(options))
    try:
        if place:
            socket.create_connection((place[1], int(place[2])), timeout=WAIT).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"no Ray cluster at {_address(options)}: {error}") from None


def _address(options: RayOptions) -> str:
    return options.init.address or os.environ.get("RAY_ADDRESS") or "this machine"
