"""How the scripted policies are compiled."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numba.core.config

from metta.game.cache import VARIABLE, source_hash
from metta.game.compilation import Kernels
from metta.game.compiled import inner

# Numba's cache does not see changes in other files of the package: the folder carries a hash of them all.
FOLDER = Path(os.environ[VARIABLE]) / f"scripted-{source_hash(Path(__file__).parent)}"

SCRIPTED = Kernels("the scripted policies", "metta.policy.rehearsal:play", 45, Path(__file__).parent)

config: Any = numba.core.config  # its settings are made at run time
# Kernels allocate nothing, so reference counting is off: with it every call touches the counters of all arrays.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False}


def kernel(function: Callable[..., Any], compiler: Callable[..., Any] = inner) -> Callable[..., Any]:
    """Compile a function of plain arrays and numbers that allocates nothing, which kernels call."""
    before = config.CACHE_DIR
    config.CACHE_DIR = str(FOLDER)
    try:
        return compiler(function, **OPTIONS)
    finally:
        config.CACHE_DIR = before


# A kernel that Python calls.
entry: Callable[..., Any] = partial(kernel, compiler=partial(numba.njit, cache=True))
