"""Tasks on an executor: as many at a time as it has places for, all stopped by the signal that stops this process."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from metta.executors.process import Task
from metta.rl.launcher import Signals

POLL = 0.2  # seconds


class Running(Protocol):
    """A task that was started."""

    def poll(self) -> int | None:
        """Its exit code as subprocess tells it, negative for the signal that ended it; None while it goes on."""
        ...

    def stop(self, number: int) -> None:
        """Pass a signal on that asks it to stop. One that has not begun never will."""
        ...


class Executor(AbstractContextManager["Executor"], Protocol):
    """Where tasks run. On its exit none of them is left."""

    def start(self, task: Task, place: int) -> Running:
        """Start a task at one of the places, which is free. Raises UserError where that cannot be."""
        ...


Ended = Callable[[int, int], bool]  # number of a task and its exit code; whether it is to be started again


def run_tasks(executor: Executor, tasks: Sequence[Task], places: int, ended: Ended) -> bool:
    """Run every task; returns whether a signal has stopped them. None is started after that."""
    waiting, running = list(range(len(tasks))), dict[int, tuple[int, Running]]()
    with Signals() as signals, executor:
        passed = 0
        while running or (waiting and not signals.come):
            for place in range(places):
                if place not in running and waiting and not signals.come:
                    number = waiting.pop(0)
                    running[place] = number, executor.start(tasks[number], place)
            for number in signals.come[passed:]:
                for _, task in running.values():
                    task.stop(number)
                passed += 1
            for place, (number, task) in list(running.items()):
                if (code := task.poll()) is None:
                    continue
                del running[place]
                if ended(number, code) and not signals.come:
                    waiting.insert(0, number)
            time.sleep(POLL if running else 0)
        return bool(signals.come)
