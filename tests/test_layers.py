"""The house rules that a machine can check: who imports whom, and how long a file is."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Low to high.
LAYERS = (
    "common", "game", "policy", "rl", "eval", "runs", "view", "executors", "config", "launch", "sweep", "league",
    "compat", "cli",
)  # fmt: skip
FILES = sorted((ROOT / "metta").rglob("*.py"))
NO_TORCH = ("common", "game")
ADAPTERS = {
    "gymnasium.py": {"gymnasium"},
    "pettingzoo.py": {"gymnasium", "pettingzoo"},
    "puffer.py": {"gymnasium", "pufferlib"},
    "pufferl.py": {"pufferlib", "torch"},
}


def imported(path: Path) -> set[str]:
    """Modules that a file imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_lower_ones(layer: str):
    for path in sorted((ROOT / "metta" / layer).rglob("*.py")):
        for name in imported(path):
            parts = name.split(".")
            if parts[:2] == ["metta", "adapters"]:
                assert layer == "compat", f"{path} imports {name}"
            elif parts[0] == "metta" and len(parts) > 1:
                assert LAYERS.index(parts[1]) <= LAYERS.index(layer), f"{path} imports {name}"
            assert not (layer in NO_TORCH and parts[0] == "torch"), f"{path} imports {name}"


def test_an_adapter_imports_only_its_library_and_the_game():
    known = {*sys.stdlib_module_names, "numpy"}
    for path in sorted((ROOT / "metta" / "adapters").rglob("*.py")):
        for name in imported(path):
            root, *rest = name.split(".")
            if root == "metta":
                assert rest[0] in ("common", "game") or name == "metta.adapters.build", f"{path} imports {name}"
            else:
                assert root in known | ADAPTERS.get(path.name, set()), f"{path} imports {name}"


def test_no_file_exceeds_500_lines():
    for path in [*FILES, *(ROOT / "tests").rglob("*.py")]:
        assert len(path.read_text().splitlines()) <= 500, path


def test_nothing_unpickles_but_the_reader_of_torch_files():
    for path in FILES:
        if path == ROOT / "metta/policy/stored/forms/torch_file.py":
            assert path.read_text().count("torch.load") == path.read_text().count("weights_only=not trust_pickle") == 1
            continue
        text = path.read_text()
        if path == ROOT / "metta/policy/stored/forms/earlier_pickle.py":  # names classes; torch.load alone is given it
            continue
        assert "import pickle" not in text and "torch.load" not in text and "allow_pickle=True" not in text, path
