"""The documentation as a site: whole, without a warning, without another host."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "devops/site/mkdocs.yml"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(CONFIG), "-d", str(folder)]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_on_the_site_and_can_be_found(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} | {"index", "contributing", "changelog", "machines"}
    assert pages <= {path.stem for path in site.glob("*.html")}
    menu = (site / "index.html").read_text()
    assert all(f'href="{page}.html"' in menu for page in pages - {"index"})
    index = json.loads((site / "search/search_index.json").read_text())["docs"]
    assert any("resume" in entry["text"] and entry["location"].startswith("training.html#") for entry in index)


def test_the_reference_tells_fields_shapes_and_errors(site: Path) -> None:
    batch = (site / "api/game.html").read_text()
    assert "UserError" in batch and "metta.game.engine.batch.EnvBatch.step" in batch
    assert "metta.game.mission.MissionSettings.max_steps" in batch


def test_pages_ask_no_other_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        asked = re.findall(r'<(?:script|img|iframe)[^>]* src="([^"]+)|<link[^>]* href="([^"]+)', page.read_text())
        assert not [address for pair in asked for address in pair if re.match(r"(https?:)?//", address)], page
