"""How the scripted policies are compiled."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from metta.game.cache import VARIABLE, source_hash

# Numba's cache does not see changes in other files of the package: the folder carries a hash of them all.
FOLDER = Path(os.environ[VARIABLE]) / f"scripted-{source_hash(Path(__file__).parent)}"


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of plain arrays and numbers; kept on disk, runs without the GIL."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(FOLDER)
    try:
        return numba.njit(cache=True, error_model="numpy", nogil=True)(function)
    finally:
        numba.config.CACHE_DIR = before
