"""Commands in README and docs compose as they stand."""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import pytest

from metta.cli import cogames
from metta.config import runner
from metta.game.mission import QuirkSettings
from metta.game.missions import mission_names
from metta.game.rewards import PRESETS
from metta.game.variants import VARIANTS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TOOLS = {
    "./tools/run.py": lambda words: runner.run([*words, "--dry-run"]),
    "python tools/train.py": lambda words: runner.train([*words, "--dry-run"]),
    "cogames": lambda words: cogames.app(["--dry-run", *words], standalone_mode=False) or 0,
}


def commands() -> list[str]:
    """Lines of the pages' bash blocks."""
    blocks = [block for page in PAGES for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)]
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_docs_composes(command: str, capsys: pytest.CaptureFixture[str]):
    for tool, run in TOOLS.items():
        if command.startswith(f"{tool} "):
            assert run(shlex.split(command.removeprefix(tool))) == 0, capsys.readouterr().err
            return
    script = command.removeprefix("python ").split()[0]
    assert script == "make" or (ROOT / script).is_file(), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("names", [mission_names(), VARIANTS, PRESETS, QuirkSettings.model_fields])
def test_the_page_of_the_game_names_everything_that_can_be_chosen(names: Iterable[str]):
    page = (ROOT / "docs" / "game.md").read_text()
    assert [name for name in names if f"`{name}`" not in page] == []
