"""The commands that docs/cli.md records, and how the page is made anew: `python -m tests.cli.page`.

A block is ```console, in which `$ COMMAND` is followed by what it printed; `…` stands for any lines, or part of one.
Blocks are run in the order of the page, in one folder. A word after `console` says how:

* none: as it stands, and all output is compared;
* `with OPTIONS`: the same, with these options added: as it stands it would take days;
* `small OPTIONS`: with these options added, and numbers are not compared; the page is made anew without them;
* `composed`: only composed and checked (--dry-run), as it would take hours;
* `until address`: it is stopped by Ctrl-C once it has printed an address.
"""

import contextlib
import difflib
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from metta.cli import cogames, diagnostics
from metta.common.files import write_atomic
from metta.config import runner

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BLOCK = re.compile(r"^```console *(.*?)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
REST = "…"
LEFT_OUT = re.compile(r"(?<!\d )…")  # in a line; between numbers it is an interval
TOOLS: dict[str, Callable[[list[str]], int]] = {
    "cogames": cogames.main,
    "tools/run.py": runner.run,
    "scripts/run_cogsguard_rollout.py": diagnostics.rollout_check,
    "scripts/run_cogsguard_parity.py": diagnostics.parity_report,
    "scripts/run_cogsguard_instrumented_audit.py": diagnostics.instrumented_audit,
}


@dataclass(frozen=True)
class Example:
    """A command of the page, how it is run again, what the page shows, and where in the page that stands."""

    command: str
    mode: str
    shown: str
    span: tuple[int, int]

    @property
    def is_small(self) -> bool:
        return self.mode.startswith("small")

    def words(self, small: bool = True) -> list[str]:
        """The words after the name of the tool; those that make it small on request only."""
        mode, _, more = self.mode.partition(" ")
        added = shlex.split(more) if mode == "with" or (mode == "small" and small) else []
        return [*(["--dry-run"] if mode == "composed" else []), *self._split()[1], *added]

    def run(self, folder: Path, small: bool = True) -> str:
        """Run it again in `folder`, where this process is; returns what it prints. Raises RuntimeError if it fails."""
        tool = TOOLS[self._split()[0]]
        if self.mode.startswith("until"):
            return self._run_until_address(tool, folder)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = tool(self.words(small))
        if code:
            raise RuntimeError(f"{self.command}: exit code {code}: {err.getvalue()}")
        return out.getvalue()

    def _run_until_address(self, tool: Callable[[list[str]], int], folder: Path) -> str:
        call = f"import sys; from {tool.__module__} import {tool.__name__} as run; sys.exit(run(sys.argv[1:]))"
        hidden = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
        command = [sys.executable, "-c", call, *self.words()]
        with subprocess.Popen(command, cwd=folder, env=hidden, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            printed = ""
            for line in process.stdout:
                printed += line
                if "://" in line:
                    break
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        return printed

    def _split(self) -> tuple[str, list[str]]:
        words = shlex.split(self.command.removeprefix("python "))
        return words[0], words[1:]


def examples(page: str) -> Iterator[Example]:
    """The examples of a page, in order."""
    for block in BLOCK.finditer(page):
        for found in COMMAND.finditer(page, block.start(2), block.end(2)):
            command = " ".join(found[1].replace("\\\n", " ").split())
            yield Example(command, block[1], found[2], found.span(2))


def plain(text: str, numbers: bool = True) -> list[str]:
    """Lines without what depends on widths, and on request without numbers and what stands in place of intervals."""
    text = re.sub(r"([─━═])[─━═ ]*", r"\1", re.sub(r"[ \t]+", " ", text))
    if not numbers:
        text = re.sub(r"-?\d[\d.,]*(e-?\d+)?", "0", text)
        text = re.sub(r"0 … 0|all equal", "0", text)
    return [line.strip() for line in text.strip().splitlines()]


def agrees(shown: str, printed: str, numbers: bool) -> bool:
    """Whether what was printed is what the page shows."""
    lines = [re.escape(line).replace(REST, "[^\n]*") + "\n" for line in plain(shown, numbers)]
    pattern = "".join("(?:[^\n]*\n)*" if line == "[^\n]*\n" else line for line in lines)
    return bool(re.fullmatch(pattern, "\n".join(plain(printed, numbers)) + "\n"))


def renewed(shown: str, printed: str) -> str:
    """What the page is to show of `printed`: the lines that it shows now, wherever they stand; the rest left out."""
    lines, at, new = printed.rstrip().splitlines(), 0, []
    parts = re.split(rf"^{REST}\n", shown, flags=re.MULTILINE)
    for index, part in enumerate(parts):
        wanted = part.splitlines()
        if index:
            new.append(REST)
            last = len(lines) - len(wanted)
            at = last if index == len(parts) - 1 else _place(wanted, lines, at, last)
        here = lines[at : at + len(wanted)] if len(parts) > 1 else lines
        new += [_shortened(old, line) for old, line in zip([*wanted, *[""] * len(here)], here, strict=False)]
        at += len(wanted)
    return "\n".join(new) + "\n"


def _place(wanted: list[str], lines: list[str], first: int, last: int) -> int:
    """Where between `first` and `last` the lines are most like the wanted ones, numbers apart."""

    def likeness(at: int) -> float:
        here = plain("\n".join(lines[at : at + len(wanted)]), numbers=False)
        return difflib.SequenceMatcher(
            None, "\n".join(plain("\n".join(wanted), numbers=False)), "\n".join(here)
        ).ratio()

    return max(range(first, max(first, last) + 1), key=likeness)


def _shortened(old: str, line: str) -> str:
    """The line, with `…` where the old one, alike but for numbers and widths, leaves a part out."""
    parts = [_but_for_numbers(part) for part in LEFT_OUT.split(old)]
    found = re.fullmatch("(?:.*?)".join(f"({part})" for part in parts), line)
    return (REST.join(found.groups()) if found else line).rstrip()


def _but_for_numbers(text: str) -> str:
    """A pattern for the same text with other numbers and widths."""
    pattern = ""
    for number, space, other in re.findall(r"(-?\d[\d.,]*)|( +)|(.[^\d -]*)", text):
        pattern += r"-?\d[\d.,]*" if number else " +" if space else re.escape(other)
    return pattern


def main() -> int:
    """Run every command of the page and write down what it prints now."""
    page = PAGE.read_text()
    pieces, end = [], 0
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        for example in examples(page):
            printed = example.run(Path(name), small=False)
            shown = example.shown if agrees(example.shown, printed, True) else renewed(example.shown, printed)
            print(f"{'as it was' if shown == example.shown else 'new':9} {example.command}", flush=True)
            pieces += [page[end : example.span[0]], shown]
            end = example.span[1]
    write_atomic(PAGE, "".join([*pieces, page[end:]]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
