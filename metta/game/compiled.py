"""How game code is compiled."""

from collections.abc import Callable
from typing import Any

import numba

# A rule: compiled for whichever target calls it. Rules allocate nothing, so reference counting is off (it cost more
# than half of a step), and they are inlined into the loop that calls them. `numpy` errors: a division never raises.
OPTIONS: dict[str, Any] = {
    "cache": True, "error_model": "numpy", "nogil": True, "forceinline": True, "_nrt": False,
}  # fmt: skip
rule: Callable[..., Any] = numba.njit(**OPTIONS)
# A rule that is called in one place: it becomes part of its caller before compilation, which spares compiling it twice.
part: Callable[..., Any] = numba.njit(**OPTIONS, inline="always")
# A rule for rare cases: it stays a call, so that it takes no registers from its caller's loop.
CALLED = {name: value for name, value in OPTIONS.items() if name != "forceinline"}
cold: Callable[..., Any] = numba.njit(**CALLED)
