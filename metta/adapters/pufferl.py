"""PufferLib's own trainer where its compiled kernel does not load (extra `puffer`).

The kernel needs the CUDA build of torch that it was linked with. Elsewhere the sum that it computes is registered in
its place.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

KERNEL = "pufferlib._C"
SIGNATURE = (
    "(Tensor values, Tensor rewards, Tensor dones, Tensor ratios, Tensor(a!) out, float gamma, float lam, "
    "float rho_clip, float c_clip) -> ()"
)


def load_pufferl() -> ModuleType:
    """PufferLib's trainer."""
    replace_kernel()
    from pufferlib import pufferl

    return pufferl


def replace_kernel() -> None:
    """From now on PufferLib's kernel can be imported: the compiled one, or ours where that does not load."""
    if not any(isinstance(finder, _Kernel) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Kernel())


class _Kernel(Loader):
    """Finds and loads the kernel."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != KERNEL:
            return None
        self._compiled = PathFinder.find_spec(fullname, path)
        return ModuleSpec(fullname, self, origin=self._compiled.origin if self._compiled else None)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        if self._compiled and self._compiled.loader:
            try:
                return self._compiled.loader.create_module(self._compiled)
            except ImportError:  # a library of CUDA is missing
                self._compiled = None
        _register()
        return None

    def exec_module(self, module: ModuleType) -> None:
        if self._compiled and self._compiled.loader:
            self._compiled.loader.exec_module(module)


def _register() -> None:
    import torch

    torch.library.define("pufferlib::compute_puff_advantage", SIGNATURE)
    torch.library.impl("pufferlib::compute_puff_advantage", "cpu", _advantage)


def _advantage(
    values: Any, rewards: Any, dones: Any, ratios: Any, out: Any, gamma: float, lam: float, rho: float, c: float
) -> None:
    """All [segments, time]: rewards[t + 1] and dones[t + 1] are what action t brought (PufferLib 3, puff_advantage)."""
    later = 0 * values[:, 0]
    for t in range(values.shape[1] - 2, -1, -1):
        going_on = gamma * (1 - dones[:, t + 1])
        delta = rewards[:, t + 1] + going_on * values[:, t + 1] - values[:, t]
        later = ratios[:, t].clamp(max=rho) * delta + going_on * lam * ratios[:, t].clamp(max=c) * later
        out[:, t] = later
