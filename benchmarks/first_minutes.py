#!/usr/bin/env python3
"""The first minutes with a fresh clone and nothing compiled, as a terminal shows them: with times, as a page of docs.

Each command is typed into a terminal of its own, in a clone of what is committed here. Packages are those of this
Python: how long they take to install is a matter of the network.
"""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line
from benchmarks.machine import machine
from metta.common.commands import Parser
from metta.common.errors import UserError
from metta.game.cache import VARIABLE

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/first-ten-minutes.md"
PLAY = "./.venv/bin/cogames play -m cogsguard_arena.basic -p cogsguard?gear=10 -r unicode"
VIEW = r"step +[1-9]\d*/"  # the first picture in which something has moved
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b.")
MOST = 900.0  # seconds for a command
SIZE = (120, 40)  # columns and rows of the terminal


@dataclass(frozen=True)
class Typed:
    """A command, and the text after which `keys` are typed."""

    command: str
    until: str = ""
    keys: str = "q"


@dataclass
class Shown:
    """What a command showed: seconds from its start and lines."""

    typed: Typed
    lines: list[tuple[float, str]] = field(default_factory=list)
    seconds: float = 0.0  # to the first picture, or the end
    code: int = 0


def show(typed: Typed, folder: Path, cache: Path) -> Shown:
    """Type a command and read the terminal. Raise UserError where it does not come to an end."""
    shown, text, begun = Shown(typed), "", time.monotonic()
    process, terminal = _start(typed.command, folder, cache)
    while True:
        seconds = time.monotonic() - begun
        if seconds > MOST:
            os.kill(process, 9)
            raise UserError(f"{typed.command}: no end within {MOST:g} s")
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # the other end is closed
            data = b""
        if not data:
            break
        text = CONTROL.sub("", text + data.decode(errors="replace"))
        if typed.until and not shown.seconds and re.search(typed.until, text):
            shown.seconds = time.monotonic() - begun
            shown.lines.append((shown.seconds, "(the first picture)"))
            os.write(terminal, typed.keys.encode())
        *lines, text = re.split(r"[\r\n]+", text)
        if not shown.seconds:
            shown.lines += [(seconds, line.rstrip()) for line in lines if line.strip()]
    shown.code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    shown.seconds = shown.seconds or time.monotonic() - begun
    return shown


def _start(command: str, folder: Path, cache: Path) -> tuple[int, int]:
    """Process and terminal of a command."""
    process, terminal = pty.fork()
    if process == 0:
        environment = {"TERM": "xterm-256color", "XDG_CACHE_HOME": str(cache), "COLUMNS": "120", "LINES": "40"}
        os.chdir(folder)
        own = {name: value for name, value in os.environ.items() if name != VARIABLE}
        os.execvpe("sh", ["sh", "-c", command], own | environment)
    return process, terminal


def clone(folder: Path, revision: str) -> Path:
    """A clone of the repository at a revision, with this Python's packages."""
    target = folder / revision.replace("/", "-")
    for command in (["clone", "-q", str(ROOT), str(target)], ["-C", str(target), "checkout", "-q", revision]):
        if subprocess.run(["git", *command]).returncode:
            raise UserError(f"git {' '.join(command)} failed; its words are above")
    packages = target / ".venv"
    packages.mkdir()
    for name in ("lib", "pyvenv.cfg"):
        (packages / name).symlink_to(Path(sys.prefix) / name)
    (packages / "bin").mkdir()
    for name in ("python", "python3"):
        (packages / "bin" / name).symlink_to(Path(sys.prefix) / "bin" / name)
    script = f'#!/bin/sh\nPYTHONPATH={target} exec {target}/.venv/bin/python -m metta.cli.cogames "$@"\n'
    (packages / "bin" / "cogames").write_text(script)
    (packages / "bin" / "cogames").chmod(0o755)
    (packages / ".stamp").touch()  # for make: set up
    return target


def starts(folder: Path, cache: Path) -> dict[str, float]:
    """Seconds to the first picture of `cogames play` with nothing compiled, then twice with all."""
    typed = Typed(PLAY.replace("?", "\\?"), VIEW)
    cold, *warm = (show(typed, folder, cache).seconds for _ in range(3))
    return {"cold": cold, "warm": min(warm)}


def page(shown: Sequence[Shown], figures: dict[str, dict[str, float]]) -> str:
    lines = [
        "# The first ten minutes", "",
        "What a terminal shows after a fresh clone, with nothing compiled; written by", "",
        "```bash", "python benchmarks/first_minutes.py --write", "```", "",
        f"on {machine()['cores']} cores ({machine()['cpu']}). Packages were there already; `cogames setup` is what "
        "`make train` and `make setup` do once those of the core are. Times are minutes and seconds from the start of "
        "each command; of what is drawn again and again the first and the last are shown.", "",
    ]  # fmt: skip
    for each in shown:
        lines += ["```text", f"$ {each.typed.command}", *_thinned(each.lines), "```", ""]
    lines += [
        "Seconds from `cogames play` to its first picture, with nothing compiled (cold) and after that (warm):",
        "",
    ]
    lines += ["| version | cold | warm |", "|---|---|---|"]
    lines += [f"| {name} | {row['cold']:.1f} | {row['warm']:.1f} |" for name, row in figures.items()]
    return "\n".join(lines) + "\n"


def _thinned(lines: Sequence[tuple[float, str]]) -> list[str]:
    """With times; of lines that are drawn again and again (a bar, a table) the first and the last."""
    shapes = [re.sub(r"[^a-zA-Z]+", "", line) for _, line in lines]
    first = {shape: place for place, shape in reversed([*enumerate(shapes)])}
    last = {shape: place for place, shape in enumerate(shapes)}
    kept = [each for place, each in enumerate(lines) if place in (first[shapes[place]], last[shapes[place]])]
    return [f"{int(seconds) // 60}:{seconds % 60:04.1f}  {line}" for seconds, line in kept if re.search(r"\w", line)]


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--before", help="a revision whose start is measured too")
    parser.add_argument("--minutes", type=float, default=5, help="of `make train`")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}, else print it")
    parser.add_argument("--json", action="store_true", help="print the figures as one line of JSON")
    args = parser.parse_args(argv)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        here, figures = clone(folder, "HEAD"), {}
        for name, revision in {"before": args.before, "now": "HEAD"}.items():
            if revision:
                place = here if revision == "HEAD" else clone(folder, revision)
                figures[name] = starts(place, folder / f"cache-{name}")
        steps = [
            Typed("./.venv/bin/cogames setup"),
            Typed("./.venv/bin/cogames play -r unicode", VIEW),
            Typed(f"make train MINUTES={args.minutes:g}"),
        ]
        shown = [show(typed, here, folder / "cache") for typed in steps]
        shutil.rmtree(folder / "cache", ignore_errors=True)
    if args.json:
        print(json.dumps({"benchmark": "first_minutes", "seconds": figures} | machine()))
        return 0
    text = page(shown, figures)
    if args.write:
        PAGE.write_text(text)
        print(PAGE)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
