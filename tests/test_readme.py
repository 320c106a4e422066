"""What README says works as it is typed, each block in a new shell in which nothing has been activated."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
# Of the table: what stands first in the cell, and before that what it is said to come after.
CELLS = re.findall(r"\| `((?:\./tools|cogames)[^`]*)`(?:, after `([^`]*)`)? \|$", README, re.MULTILINE)
SHELL = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(ROOT)}
needs_setup = pytest.mark.skipif(not (ROOT / ".venv/bin/activate").exists(), reason="needs the project's .venv")


def harmless(line: str) -> str:
    """The same command, which only composes: the run that it names need not be there."""
    if line.startswith("./tools/run.py recipes") and "--" not in line:
        return f"{line} --cfg job"
    return re.sub(r"^cogames (?!-)", "cogames --cfg job ", line)


def typed(lines: list[str]) -> str:
    """What a new shell prints of these lines, each of which must succeed."""
    script = "\n".join(["set -e", *map(harmless, lines)])
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=SHELL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_setup
@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_works_in_a_new_shell(block: str) -> None:
    assert typed(block.splitlines())


@needs_setup
@pytest.mark.parametrize(("command", "before"), CELLS)
def test_a_command_of_the_table_works_in_a_new_shell(command: str, before: str) -> None:
    assert typed([*filter(None, [before]), command])


def test_a_new_shell_has_no_cogames_so_something_is_tested() -> None:
    assert len(BLOCKS) == 3 and len(CELLS) == 3 and any("cogames" in block for block in BLOCKS)
    with pytest.raises(AssertionError, match="command not found"):
        typed(["cogames --help"])


@pytest.mark.parametrize(
    ("words", "does"),
    [
        (["train"], "tools/first_run.py"),
        (["train", "MINUTES=20"], "tools/first_run.py trainer.max_minutes=20"),
        (["setup"], ". .venv/bin/activate"),
        (["test"], "-m pytest"),
    ],
)
def test_make_does_what_is_said(words: list[str], does: str) -> None:
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and does in done.stdout


def test_readme_names_the_words_of_make() -> None:
    assert all(f"make {words}" in README for words in ("train    #", "train MINUTES=20", "test     #", "lint"))
