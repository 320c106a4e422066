"""How the scripted policies are compiled."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numba.core.config

from metta.game.cache import VARIABLE, source_hash

# Numba's cache does not see changes in other files of the package: the folder carries a hash of them all.
FOLDER = Path(os.environ[VARIABLE]) / f"scripted-{source_hash(Path(__file__).parent)}"

config: Any = numba.core.config  # its settings are made at run time
# Kernels allocate nothing, so reference counting is off: with it every call touches the counters of all arrays.
OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "nogil": True, "_nrt": False}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of plain arrays and numbers that allocates nothing."""
    before = config.CACHE_DIR
    config.CACHE_DIR = str(FOLDER)
    try:
        return numba.njit(**OPTIONS)(function)
    finally:
        config.CACHE_DIR = before
