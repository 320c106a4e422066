"""How game code is compiled."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numba
from numba.core.registry import CPUDispatcher


class Inner(CPUDispatcher):
    """A function that compiled functions call and Python never does.

    It has none of the wrappers through which Python calls compiled code: they took a quarter of the time that the
    engine needs to compile.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{self.py_func.__qualname__} is called by compiled code only; mark it as an entry")


def inner(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """As numba.njit(cache=True, **options), but for compiled callers alone."""
    compiled = Inner(
        function, targetoptions={"nopython": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, **options}
    )
    compiled.enable_caching()
    return compiled


# A rule: compiled for whichever target calls it. Rules allocate nothing, so reference counting is off (it cost more
# than half of a step), and they are inlined into the loop that calls them. `numpy` errors: a division never raises.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "forceinline": True, "_nrt": False}
rule: Callable[..., Any] = partial(inner, **OPTIONS)
# A rule that Python calls: a loop over environments, or what kernels of a device call, which numba's simulator plays in
# Python.
entry: Callable[..., Any] = numba.njit(cache=True, **OPTIONS)
# A rule that is called in one place: it becomes part of its caller before compilation, which spares compiling it twice.
part: Callable[..., Any] = numba.njit(cache=True, **OPTIONS, inline="always")
# A rule for rare cases: it stays a call, so that it takes no registers from its caller's loop.
cold: Callable[..., Any] = partial(inner, **{name: value for name, value in OPTIONS.items() if name != "forceinline"})
