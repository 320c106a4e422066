"""The notebooks of our own interface, run from top to bottom as they are, with little training."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
jupytext = pytest.importorskip("jupytext")
pytest.importorskip("pandas")

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
# Words of a cell -> what a test puts in their place.
LITTLE = {
    "MINUTES = 3": "MINUTES = 0.02",
    "STEPS = 200_000": "STEPS = 16_384",
    "episodes=20": "episodes=2",
    "episodes=10": "episodes=2",
    "max_steps=500": "max_steps=50",
    '"aligner_tutorial", "-p"': '"aligner_tutorial", "-s", "50", "-p"',
}
PICTURES = {"train_and_watch": 1, "analyse_runs": 3}


@pytest.mark.parametrize("name", PICTURES)
def test_a_notebook_runs_from_top_to_bottom(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = jupytext.read(FOLDER / f"{name}.md")
    for cell in notebook.cells:
        for said, instead in LITTLE.items():
            cell.source = cell.source.replace(said, instead)
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    assert shown.count('"image/png"') == PICTURES[name], "curves take no picture from the cells after them"
    assert "CompletedProcess" not in shown
    if name == "train_and_watch":
        assert re.search(r"train_dir/notebook: reward -?\d", shown) and "<iframe" in shown
    else:
        assert all(run in shown for run in ("ent_coef_0.005", "ent_coef_0.05", "losses/entropy"))


@pytest.mark.parametrize("source", sorted(FOLDER.glob("*.md")), ids=lambda path: path.stem)
def test_the_ipynb_of_a_notebook_is_its_markdown(source: Path) -> None:
    text, book = jupytext.read(source), jupytext.read(source.with_suffix(".ipynb"))
    assert _cells(text) == _cells(book)


def _cells(notebook: Any) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source.strip()) for cell in notebook.cells]
