"""A run of a trial in a process of its own, so that whatever becomes of it the sweep goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from metta.common.commands import guarded
from metta.common.errors import UserError
from metta.common.files import read_text, write_atomic
from metta.common.jsonl import Row
from metta.common.processes import child_environment
from metta.common.ranks import begin, end_with_parent
from metta.common.streams import go_on_unheard
from metta.config.run_job import Summary, run_job
from metta.config.words import Word, parse_word
from metta.rl.run.run_folder import RunFolder
from metta.rl.run.run_lock import LIMIT, is_running
from metta.runs.objective import Objective

COMMAND = (sys.executable, "-P", "-m", __name__)
SUMMARY, OVERRIDES, OUTPUT = "summary.json", "overrides.yaml", "output.log"
MOST_BYTES = 1_000_000
POLL = 0.1  # seconds
PATIENCE = 60.0  # seconds in which a run that is asked to stop has saved
Watch = Callable[[Path], bool]  # looks at the metrics of a run; whether it is to stop


def run_trial(
    recipe: str | None, words: list[Word], objective: Objective, folder: Path, watch: Watch, stop: Callable[[], bool]
) -> Summary:
    """Train in a child process, to the end or until `watch` or `stop` comes true, and return how that ended."""
    run = RunFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUMMARY).unlink(missing_ok=True)
    write_atomic(folder / OVERRIDES, "".join(f"- {json.dumps(word.text)}\n" for word in words))
    _wait_until_free(folder)
    given = {
        "parent": os.getpid(),
        "recipe": recipe,
        "words": [(word.text, word.file) for word in words],
        "objective": objective.model_dump(mode="json"),
        "summary": str(folder / SUMMARY),
    }
    with open(folder / OUTPUT, "ab") as output:
        # A session of its own: Ctrl-C at the terminal is passed on once, by the worker.
        child = subprocess.Popen(
            COMMAND,
            env=child_environment(),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        assert child.stdin
        with suppress(BrokenPipeError), child.stdin as stdin:
            stdin.write(json.dumps(given).encode())
        while child.poll() is None:
            if stop() or watch(run.metrics):
                _end(child)
                break
            time.sleep(POLL)
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
    watch(run.metrics)
    return _summary(folder, child.returncode)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask a run to save and stop; one that does not is killed."""
    child.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(PATIENCE)


def _wait_until_free(folder: Path) -> None:
    """A run whose worker was killed is still saving."""
    deadline = time.monotonic() + PATIENCE + LIMIT
    while is_running(folder) and time.monotonic() < deadline:
        time.sleep(POLL)


def _summary(folder: Path, code: int) -> Summary:
    """What the child said; of one that said nothing, how it ended and its last line."""
    with suppress(UserError, ValueError, TypeError):
        told: dict[str, Any] = json.loads(read_text(folder / SUMMARY, MOST_BYTES))
        return Summary(**{**told, "ci95": tuple(told["ci95"])})
    if code < 0:
        problem = f"killed by {signal.Signals(-code).name}" + " (out of memory?)" * (code == -signal.SIGKILL)
    else:
        lines = (folder / OUTPUT).read_text(errors="replace").strip().splitlines()
        problem = f"exit code {code}: {lines[-1][:300] if lines else 'no word'}"
    return Summary(folder.name, "failed", code, problem=problem)


def new_rows(path: Path, offset: int) -> tuple[list[Row], int]:
    """Whole lines of a metrics file behind an offset, and the offset behind them; from its start if it has shrunk."""
    if not path.is_file():
        return [], 0
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(offset if offset <= size else 0)
        lines = file.read().rpartition(b"\n")[0]
        offset = file.tell() if not lines else (offset if offset <= size else 0) + len(lines) + 1
    rows = []
    for line in lines.splitlines():
        with suppress(ValueError):
            rows.append(json.loads(line))
    return rows, offset


def main() -> int:
    """Run the job that standard input names and write its summary; returns its exit code."""
    given = json.loads(sys.stdin.buffer.read())
    end_with_parent(given["parent"])
    begin()
    go_on_unheard()
    words = [replace(parse_word(text), file=file) for text, file in given["words"]]
    ended = run_job(given["recipe"], words, Objective.model_validate(given["objective"]))
    write_atomic(Path(given["summary"]), json.dumps(asdict(ended)))
    if ended.problem:
        print(f"error: {ended.problem}", file=sys.stderr)
    return ended.code


if __name__ == "__main__":
    sys.exit(guarded(main))
