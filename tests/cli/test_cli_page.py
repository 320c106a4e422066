"""The commands that docs/cli.md records do what it shows.

A block is ```console, in which `$ COMMAND` is followed by what it printed; `…` stands for any lines, or part of one.
Blocks are run in the order of the page, in one folder. A word after `console` says how:

* none: as it stands, and all output is compared;
* `small OPTIONS`: with these options added, and numbers are not compared;
* `composed`: only composed and checked (--dry-run), as it would take hours;
* `until address`: it is stopped by Ctrl-C once it has printed its first line.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from metta.cli import cogames, diagnostics
from metta.config import runner

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BLOCK = re.compile(r"^```console *(.*?)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PROMPT = "$ "
TOOLS: dict[str, Callable[[list[str]], int]] = {
    "cogames": cogames.main,
    "tools/run.py": runner.run,
    "tools/run_cogsguard_rollout.py": diagnostics.rollout_check,
    "tools/run_cogsguard_parity.py": diagnostics.parity_report,
    "tools/run_cogsguard_instrumented_audit.py": diagnostics.instrumented_audit,
}


@dataclass(frozen=True)
class Example:
    """A command of the page, how it is run again, and what the page shows."""

    command: str
    mode: str
    shown: str

    @property
    def words(self) -> list[str]:
        """The words after the name of the tool."""
        _, words = self._split()
        mode, _, more = self.mode.partition(" ")
        if mode == "composed":
            return ["--dry-run", *words]
        return [*words, *(shlex.split(more) if mode == "small" else [])]

    def run(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
        """Run it again; returns what it prints."""
        tool = TOOLS[self._split()[0]]
        if self.mode.startswith("until"):
            return self._run_until_address(tool, folder)
        code = tool(self.words)
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    def _run_until_address(self, tool: Callable[[list[str]], int], folder: Path) -> str:
        call = f"import sys; from {tool.__module__} import {tool.__name__} as run; sys.exit(run(sys.argv[1:]))"
        hidden = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
        command = [sys.executable, "-c", call, *self.words]
        with subprocess.Popen(command, cwd=folder, env=hidden, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            line = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        return line

    def _split(self) -> tuple[str, list[str]]:
        words = shlex.split(self.command.removeprefix("python "))
        return words[0], words[1:]


def examples() -> list[Example]:
    found = []
    for mode, text in BLOCK.findall(PAGE.read_text()):
        for part in re.split(rf"^{re.escape(PROMPT)}", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            found.append(Example(" ".join(command.split()), mode, shown))
    return found


def plain(text: str, numbers: bool) -> list[str]:
    """Lines without what depends on widths, and on request without numbers."""
    text = re.sub(r"([─━═])[─━═ ]*", r"\1", re.sub(r"[ \t]+", " ", text))
    text = text if numbers else re.sub(r"-?\d[\d.,]*(e-?\d+)?", "0", text)
    return [line.strip() for line in text.strip().splitlines()]


def agrees(shown: str, printed: str, numbers: bool) -> bool:
    """Whether what was printed is what the page shows."""
    lines = [re.escape(line).replace("…", "[^\n]*") + "\n" for line in plain(shown, numbers)]
    pattern = "".join("(?:[^\n]*\n)*" if line == "[^\n]*\n" else line for line in lines)
    return bool(re.fullmatch(pattern, "\n".join(plain(printed, numbers)) + "\n"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the commands of the page run."""
    return tmp_path_factory.mktemp("page")


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.command)
def test_a_command_of_the_page_does_what_it_shows(
    example: Example, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(folder)
    printed = example.run(folder, capsys)
    assert agrees(example.shown, printed, numbers=not example.mode.startswith("small")), printed
