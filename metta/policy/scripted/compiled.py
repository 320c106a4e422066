"""How the scripted policies are compiled."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from metta.game.cache import VARIABLE, source_hash

# Numba's cache does not see changes in other files of the package: the folder carries a hash of them all.
FOLDER = Path(os.environ[VARIABLE]) / f"scripted-{source_hash(Path(__file__).parent)}"

# Kernels allocate nothing, so reference counting is off: with it every call touches the counters of all arrays.
OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "nogil": True, "_nrt": False}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of plain arrays and numbers that allocates nothing."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(FOLDER)
    try:
        return numba.njit(**OPTIONS)(function)
    finally:
        numba.config.CACHE_DIR = before
