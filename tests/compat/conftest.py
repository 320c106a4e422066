"""The retired packages' own files, where a Python that has them is named: their policies play over our names."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import metta.compat  # noqa: F401 - offers the names
from benchmarks.original import NotInstalledError, find_original
from metta.common.retired import PACKAGES

Load = Callable[[str], ModuleType]


@pytest.fixture(scope="session")
def original() -> str:
    """A Python that has the retired packages."""
    try:
        return str(find_original(None))
    except NotInstalledError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def packages(original: str) -> Path:
    """The folder in which the retired packages are installed."""
    where = "import importlib.util as u; print(u.find_spec('cogames').origin)"
    found = subprocess.run([original, "-c", where], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip()).parents[1]


@pytest.fixture
def load_original(packages: Path) -> Iterator[Load]:
    """Imports a file of the retired packages under its own name, everything else that it imports is ours."""
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        spec = spec_from_file_location(name, packages / f"{name.replace('.', '/')}.py")
        assert spec and spec.loader
        module = sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in PACKAGES:
            del sys.modules[name]
