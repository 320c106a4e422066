"""Numbers and arrays of numpy beside the tensors of a torch file, put together from parts that are checked.

What stands in for numpy's own functions takes whatever a hostile file passes; numpy itself sees a type of plain
numbers or text, and exactly the bytes that they need.
"""

import math
import re
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np

# bool, integers, floats, complex numbers, bytes, text, points and spans of time; never objects (O) or records (V).
PLAIN = re.compile(r"b1|[iu][1248]|f(2|4|8|12|16)|c(8|16|24|32)|[SU]\d{1,7}|[Mm]8")
MODULES = ("numpy._core.multiarray", "numpy.core.multiarray")  # of numpy 2 and 1
MOST_SIDES = 32
MOST_TEXT = 200  # characters of one that is no array: what uses it again is not counted as for plain text


class _Dtype:
    """Stands in for numpy.dtype."""

    __slots__ = ("dtype",)

    def __init__(self, text: Any, *_: Any) -> None:
        if not (isinstance(text, str) and PLAIN.fullmatch(text)):
            raise UnpicklingError(f"Unsupported numpy type {str(text)[:20]!r}, which is no plain number or text.")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        _, order, *parts = state[:5]
        if any(part is not None for part in parts) or order not in ("<", ">", "|", "="):
            raise UnpicklingError("Unsupported numpy type of several parts.")
        if len(state) > 8:  # of time: its unit, such as (…, (b"ns", 1, 1, 1))
            unit, count = state[8][1][:2]
            self.dtype = np.dtype(f"{self.dtype.kind}8[{count:d}{unit.decode()}]")
        self.dtype = self.dtype.newbyteorder(order)


def _plain_array(shape: Any, dtype: Any, data: Any) -> np.ndarray:
    """A view of `data`, bytes of exactly that many numbers."""
    sound = isinstance(dtype, _Dtype) and isinstance(data, bytes) and isinstance(shape, tuple)
    sound = sound and len(shape) <= MOST_SIDES and all(type(side) is int and side >= 0 for side in shape)
    if not sound or math.prod(shape) * dtype.dtype.itemsize != len(data):
        raise UnpicklingError("Unsupported numpy array, whose shape and bytes differ.")
    return np.ndarray(shape, dtype.dtype, data)


def _scalar(dtype: Any, data: Any = b"") -> Any:
    """Stands in for numpy's function that makes a number of its bytes."""
    value = _plain_array((), dtype, data)[()]
    if isinstance(value, str | bytes) and len(value) > MOST_TEXT:
        raise UnpicklingError("Unsupported text of numpy, longer than a name.")
    return value


def _no_bytes(*_: Any) -> bytes:
    """Stands in for bytes, called without arguments for the content of empty arrays."""
    return b""


def numpy_globals(most: int) -> list[Callable | tuple[Callable, str]]:
    """What a torch file finds under the names of numpy's functions, as `torch.serialization.safe_globals` takes it.

    Arrays hold at most `most` bytes together. UnpicklingError is raised for anything but plain numbers and text.
    """
    left = most

    class Array(np.ndarray):
        """Stands in for numpy.ndarray: empty until its state is set."""

        def __new__(cls, *_: Any) -> "Array":
            return super().__new__(cls, (0,))

        def __setstate__(self, state: Any) -> None:
            nonlocal left
            _, shape, dtype, by_columns, data = state
            dtype = _plain_array(shape, dtype, data).dtype
            left -= len(data)
            if left < 0:
                raise UnpicklingError("Unsupported numpy arrays, larger than the file that holds them.")
            sound: Any = (1, shape, dtype, bool(by_columns), data)
            super().__setstate__(sound)

    Array.__name__ = "ndarray"  # in messages
    stand_ins = {"scalar": _scalar, "_reconstruct": lambda *_: Array()}
    named = [(made, f"{module}.{name}") for module in MODULES for name, made in stand_ins.items()]
    return [*named, (Array, "numpy.ndarray"), (_Dtype, "numpy.dtype"), (_no_bytes, "builtins.bytes")]
