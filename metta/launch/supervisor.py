"""Who watches the processes of a run on one node: python -m metta.launch.supervisor --folder F … -- COMMAND.

Keeps what they say in `<run>/launch/node<N>.log`, starts them again when they fail or bring no epoch for long, has them
save and stop at the end of the time or when it is asked to itself.
"""

import argparse
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from metta.common.commands import DIVERGED, LOST
from metta.common.ranks import end_with_parent
from metta.launch.node_state import NodeState

FINAL = (0, 2, DIVERGED)  # exit codes after which trying again makes nothing better
TIME_OVER = 124  # exit code, as of coreutils' timeout
POLL = 0.2  # seconds
PAUSE = 2.0  # seconds before another start
MARGIN = 10.0  # seconds beyond those in which the processes end by themselves
SILENT = "no epoch for too long"
REQUESTS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class Supervisor:
    """Runs the command of one node until it has ended for good."""

    def __init__(self, flags: argparse.Namespace) -> None:
        self._flags = flags
        self._state = NodeState(flags.folder, flags.node)
        self._asked: signal.Signals | None = None
        self._deadline = time.monotonic() + 3600 * flags.hours

    def run(self) -> int:
        """Returns the exit code: the command's, 75 where it was asked to stop, 124 where its time was over."""
        for number in REQUESTS:
            signal.signal(number, self._ask)
        self._state.folder.mkdir(parents=True, exist_ok=True)
        with open(self._state.log, "ab", buffering=0) as log:
            self._log = log
            restarts = 0
            while True:
                self._state.write("running", restarts=restarts)
                began = time.time()
                code, reason = self._attempt()
                if reason or code in FINAL:
                    break
                restarts = 1 if self._newest() > began else restarts + 1
                if restarts > self._flags.restarts:
                    self._say(f"exit code {code}; given up after {self._flags.restarts} restarts without an epoch")
                    break
                self._say(f"exit code {code}; starts again ({restarts} of {self._flags.restarts})")
                self._wait(PAUSE)
            end = reason or ("finished" if code == 0 else "failed")
            code = {"stopped": LOST, "time over": TIME_OVER}.get(end, code)
            self._state.write(end, code=code, restarts=restarts)
        return code

    def _attempt(self) -> tuple[int, str]:
        """Run the command once; returns its exit code, and why it is not to be run again."""
        if self._asked:
            return LOST, "stopped"
        process = subprocess.Popen(
            self._flags.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # signals come from here alone, once
            preexec_fn=end_with_parent,
        )
        copier = threading.Thread(target=self._copy, args=(process,), daemon=True)
        copier.start()
        began, reason = time.time(), ""
        while process.poll() is None and not (reason := self._why(began)):
            time.sleep(POLL)
        if reason:
            self._say(f"{reason}: the run is asked to save and stop")
            self._end(process)
        code = process.wait()
        copier.join(MARGIN)
        if reason == SILENT:
            return LOST, ""
        return 128 - code if code < 0 else code, reason

    def _why(self, began: float) -> str:
        """Why a command that goes on is to be ended; empty where it is not."""
        if self._asked:
            return "stopped"
        if time.monotonic() > self._deadline:
            return "time over"
        return SILENT if time.time() - max(began, self._newest()) > self._flags.heartbeat else ""

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        """Have the command save and stop; kill it where it takes too long."""
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(self._flags.grace + MARGIN)
        process.kill()

    def _copy(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout
        while data := process.stdout.read1(1 << 16):  # pyright: ignore[reportAttributeAccessIssue]
            self._write(data)

    def _write(self, data: bytes) -> None:
        with suppress(OSError, ValueError):  # disk full, or the terminal is gone
            self._log.write(data)
        with suppress(OSError, ValueError):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    def _say(self, text: str) -> None:
        self._write(f"[launch {time.strftime('%Y-%m-%d %H:%M:%S')}] {text}\n".encode())

    def _newest(self) -> float:
        """When the run last finished an epoch, in seconds since 1970; 0 where it has none."""
        try:
            return self._state.metrics.stat().st_mtime
        except OSError:
            return 0.0

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._asked:
            time.sleep(POLL)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = self._asked or signal.Signals(number)


def _flags(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    real: Callable[[str], float] = float
    parser.add_argument("--folder", type=Path, required=True, help="the folder of the run")
    parser.add_argument("--node", type=int, default=0)
    parser.add_argument("--hours", type=real, required=True)
    parser.add_argument("--heartbeat", type=real, required=True, help="seconds")
    parser.add_argument("--restarts", type=int, required=True)
    parser.add_argument("--grace", type=real, required=True, help="seconds")
    parser.add_argument("command", nargs="+")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(Supervisor(_flags(sys.argv[1:])).run())
