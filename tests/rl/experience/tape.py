"""What a CUDA graph does, on a processor: operations are recorded once with the tensors that they had, then repeated on
these, whatever the program would do by then.

An operation that hands the host a number is refused. What torch does not see (environments) is recorded by `also`.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from metta.rl.learning.graphs import WARM_UP, Captured

READS = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique2")


class Tape(TorchDispatchMode):
    """Records while it is entered; each recording is done, too."""

    recording: "ClassVar[Tape | None]" = None

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Callable[[], None]] = []

    def __enter__(self) -> "Tape":
        Tape.recording = self
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        Tape.recording = None
        super().__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.split(".")[0]
        assert name not in READS, f"{name} hands the host a number"
        given = kwargs or {}
        found = func(*args, **given)
        into = _tensors(found)

        def again() -> None:
            for old, new in zip(into, _tensors(func(*args, **given)), strict=True):
                if new is not old:
                    old.copy_(new)

        self._calls.append(again)
        return found

    def replay(self) -> None:
        with torch.no_grad():
            for call in self._calls:
                call()

    def also(self, call: Callable[[], None]) -> None:
        self._calls.append(call)


def _tensors(found: Any) -> list[Tensor]:
    return [part for part in tree_leaves(found) if isinstance(part, Tensor)]


class Taped(Captured[Any]):
    """Captured on a processor."""

    replays = 0

    def __call__(self) -> Any:
        if self._runs < WARM_UP:
            self._runs += 1
            return self._function()
        if self._runs == WARM_UP:
            self._runs += 1
            with Tape() as self._tape:
                self._kept = self._function()
        else:
            self.replays += 1
            self._tape.replay()
        return self._kept
