"""Commands in README and docs compose as they stand."""

import re
import shlex
from pathlib import Path

import pytest

from metta.config import runner

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TOOLS = {"./tools/run.py": runner.run, "python tools/train.py": runner.train}


def commands() -> list[str]:
    """Lines of the pages' bash blocks."""
    blocks = [block for page in PAGES for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)]
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_docs_composes(command: str, capsys: pytest.CaptureFixture[str]):
    for tool, run in TOOLS.items():
        if command.startswith(tool):
            words = shlex.split(command.removeprefix(tool))
            assert run([*words, "--dry-run"]) == 0, capsys.readouterr().err
            return
    script = command.removeprefix("python ").split()[0]
    assert script in ("cogames", "make") or (ROOT / script).is_file(), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"
