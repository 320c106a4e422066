"""Where every thread of a process is, on request: SIGUSR2 writes it down even while the process waits for others."""

import ctypes
import faulthandler
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from metta.common.ranks import STACKS

DUMP = signal.SIGUSR2


@contextmanager
def keep_stacks() -> Iterator[TextIO]:
    """Answer DUMP, and a crash, with the stacks of all threads; yields the file that they go to."""
    folder = os.environ.get(STACKS)
    with ExitStack() as opened:
        file = opened.enter_context(open(_file(folder, os.getpid()), "w")) if folder else sys.__stderr__
        assert file is not None
        faulthandler.enable(file)
        faulthandler.register(DUMP, file)
        opened.callback(faulthandler.unregister, DUMP)
        opened.callback(faulthandler.disable)
        yield file


def ask_for_stacks(process: int) -> None:
    """Have another process write down its stacks.

    Where the system can, its main thread is asked, not any: one that was stopped then answers before it goes on.
    """
    try:
        ctypes.CDLL(None).tgkill(process, process, DUMP)
    except AttributeError:  # Linux with glibc alone has it
        os.kill(process, DUMP)


def read_stacks(folder: str, process: int) -> str:
    """What a process has written in the folder of stacks; empty if it had not come so far."""
    path = _file(folder, process)
    return path.read_text(errors="replace") if path.is_file() else ""


def _file(folder: str, process: int) -> Path:
    return Path(folder) / f"{process}.txt"
