"""What a node says of a launched run, in `<run>/launch`: python -m metta.launch.node_state FOLDER NODE prints it;
`--stop` behind it asks the run to save and stop."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metta.common.files import write_atomic
from metta.common.jsonl import last_rows

STEP = "metric/agent_step"
TAIL = 4096  # bytes of the log in which its last line is looked for


@dataclass(frozen=True)
class NodeState:
    """The files of one node."""

    run: Path
    node: int = 0

    @property
    def folder(self) -> Path:
        return self.run / "launch"

    @property
    def log(self) -> Path:
        return self.folder / f"node{self.node}.log"

    @property
    def metrics(self) -> Path:
        return self.run / "metrics.jsonl"

    @property
    def _path(self) -> Path:
        return self.folder / f"node{self.node}.json"

    def write(self, state: str, **more: Any) -> None:
        """Note how it stands with the run on this node."""
        write_atomic(self._path, json.dumps({"pid": os.getpid(), "state": state, "time": time.time(), **more}))

    def stop(self) -> None:
        """Ask the supervisor to have the run saved and stopped, where it goes on."""
        state = self._read()
        if state and state["state"] == "running" and _is_supervisor(state["pid"]):
            os.kill(state["pid"], signal.SIGTERM)

    def told(self) -> str:
        """One line for people."""
        return ", ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        state = self._read()
        if state is None:
            yield "has not started"
            return
        name = state["state"]
        if name == "running" and not _is_supervisor(state["pid"]):
            name = "lost (killed, or the machine was started anew)"
        minutes = (time.time() - state["time"]) / 60
        yield f"{name} for {minutes:.0f} min" if name == "running" else name
        if state.get("code"):
            yield f"exit code {state['code']}"
        if state.get("restarts"):
            yield f"{state['restarts']} restarts"
        if rows := list(last_rows(self.metrics, 1)) if self.metrics.is_file() else []:
            yield f"{rows[-1].get(STEP, 0):,.0f} agent-steps"
        if last := self._last_line():
            yield f"says: {last}"

    def _read(self) -> dict[str, Any] | None:
        try:
            return json.loads(self._path.read_text())
        except (OSError, ValueError):
            return None

    def _last_line(self) -> str:
        try:
            with open(self.log, "rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL))
                lines = log.read().decode(errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _is_supervisor(pid: int) -> bool:
    """Whether the process is there, and no other has its number by now."""
    try:
        return b"metta.launch.supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def main(folder: str, node: str, *flags: str) -> None:
    state = NodeState(Path(folder), int(node))
    if "--stop" in flags:
        state.stop()
    else:
        print(state.told())


if __name__ == "__main__":
    main(*sys.argv[1:])
