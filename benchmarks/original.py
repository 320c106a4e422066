"""Measuring in turns with the original, cogames 0.8.1 on mettagrid 0.8.4: one run, one core, processor time.

The original needs a Python of its own, 3.12: `pip install cogames==0.8.1 mettagrid==0.8.4 pufferlib-core==3.0.23`.
`--original-python`, or the environment variable METTA_ORIGINAL_PYTHON, says where that is.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from benchmarks.machine import machine
from metta.common.errors import UserError

CHILD = Path(__file__).with_name("original_child.py")
VARIABLE = "METTA_ORIGINAL_PYTHON"
PACKAGES = ("cogames", "mettagrid", "pufferlib")
CHECK_SECONDS = 60
WORDS_KEPT = 400  # characters of the original's last words


class NotInstalledError(UserError):
    """The original is not there: what needs it is skipped."""


def add_options(parser: argparse.ArgumentParser, pairs: int = 5) -> None:
    """The options by which a benchmark compares."""
    parser.add_argument(
        "--against", choices=("original",), help="measure in turns with the original, on one core, in processor time"
    )
    parser.add_argument("--pairs", type=int, default=pairs, help=f"measurements of each side (default: {pairs})")
    add_python(parser)


def add_python(parser: argparse.ArgumentParser) -> None:
    """The option that says where the original is."""
    parser.add_argument("--original-python", help=f"a Python that has the original (default: ${VARIABLE})")


def find_original(python: str | None) -> str:
    """The Python that has the original. Raises NotInstalledError with the reason if there is none."""
    python = python or os.environ.get(VARIABLE)
    if not python:
        raise NotInstalledError(f"no Python with the original is named: --original-python or ${VARIABLE}")
    check = f"import importlib.util as u; print([n for n in {PACKAGES} if not u.find_spec(n)])"
    try:
        done = subprocess.run([python, "-c", check], capture_output=True, text=True, timeout=CHECK_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(f"{python} does not run ({error})") from None
    if done.returncode or done.stdout.strip() != "[]":
        raise NotInstalledError(f"{python} lacks {done.stdout.strip() or ', '.join(PACKAGES)}")
    return python


@contextmanager
def one_core() -> Iterator[None]:
    """Stay on one core meanwhile, with all threads and programs that are started: the first that this one may use."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Child:
    """A program that answers each line with a line of JSON, the first unasked. Raises UserError when it fails."""

    what: ClassVar[str]  # of whom a message speaks

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> None:
        self._words = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the program)
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=pipe, stdout=pipe, stderr=self._words, text=True
        )
        self.said = self._listen()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Let it do a round of its work; what it answers."""
        assert self._child.stdin
        try:
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # it has died: listening says why
        return self._listen()

    def _listen(self) -> dict[str, Any]:
        assert self._child.stdout
        line = self._child.stdout.readline()
        if not line:
            self._child.wait()
            self._words.seek(0)
            raise UserError(f"{self.what} failed: {self._words.read().strip()[-WORDS_KEPT:]}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._child.stdin and self._child.stdout
        self._child.stdin.close()
        self._child.kill()
        self._child.wait()
        self._child.stdout.close()
        self._words.close()


class Original(Child):
    """The original at some work, in a program of its own. Raises UserError when that fails."""

    what = "the original"

    def __init__(self, python: str, work: str, **settings: Any) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        if work in ("train", "play"):
            settings["folder"] = str(self.folder)
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        super().__init__([python, str(CHILD), work, json.dumps(settings)], env)
        self.versions: dict[str, str] = self.said["versions"]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._folder.cleanup()


class Pairs:
    """Agent-steps per second of processor time of both sides, measured in turns."""

    def __init__(self, original: Original) -> None:
        self._original = original
        self.ours: list[float] = []
        self.theirs: list[float] = []
        self.last: dict[str, Any] = {}  # the original's last answer

    def add(self, ours: float, **request: Any) -> None:
        """Note one measurement of this side and take the other's."""
        self.last = self._original.ask(**request)
        self.ours.append(ours)
        self.theirs.append(self.last["agent_steps"] / self.last["seconds"])

    def result(self) -> dict[str, Any]:
        """Medians, and the median of the pairs' ratios with the lowest and highest."""
        ratios = [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        return {
            "agent_steps_per_cpu_second": round(statistics.median(self.ours)),
            "original_agent_steps_per_cpu_second": round(statistics.median(self.theirs)),
            "ratio": round(statistics.median(ratios), 2),
            "lowest_ratio": round(min(ratios), 2),
            "highest_ratio": round(max(ratios), 2),
            "pairs": len(ratios),
            "original": self._original.versions,
        }


def rate(work: Callable[[], int]) -> float:
    """Agent-steps per second of processor time of a work that returns its agent-steps."""
    start = time.process_time()
    steps = work()
    return steps / (time.process_time() - start)


def say(result: dict[str, Any]) -> str:
    """A comparison in words."""
    return (
        f"{result['what']}: {result['agent_steps_per_cpu_second']:,} agent-steps per second of processor time, "
        f"the original {result['original_agent_steps_per_cpu_second']:,}: {result['ratio']:g} times "
        f"({result['lowest_ratio']:g} to {result['highest_ratio']:g} in {result['pairs']} pairs)"
    )


def against_original(
    benchmark: str, args: argparse.Namespace, compare: Callable[[argparse.Namespace, str], list[dict[str, Any]]]
) -> int:
    """Run `compare` with the original's Python and print its rows, each with a `what`; returns the exit code.

    Where the original is not installed there is nothing to compare with: that is said, and no failure.
    """
    try:
        python = find_original(args.original_python)
    except NotInstalledError as reason:
        if args.json:
            print(json.dumps({"benchmark": benchmark, "against": "original", "skipped": str(reason)}))
        print(f"skipped: {reason}", file=sys.stderr)
        return 0
    with one_core():
        rows = compare(args, python)
    if args.json:
        print(json.dumps({"benchmark": benchmark, "against": "original", "rows": rows, **machine()}))
    else:
        print("\n".join(say(row) for row in rows))
    return 0
