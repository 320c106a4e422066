"""The numbers in which a network's products are taken: float32, or half as many bits beside float32 weights."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from metta.common.errors import UserError
from metta.policy.nets.interface import NetOutput, PolicyNet, State

NAMES = {torch.float32: "float32", torch.bfloat16: "bf16", torch.float16: "fp16"}


@dataclass(frozen=True)
class Precision:
    """How a net is run on a device. Its weights, outputs and memory keep their types, whatever it computes in."""

    dtype: torch.dtype
    device: torch.device

    @property
    def name(self) -> str:
        return NAMES[self.dtype]

    def act(self, net: PolicyNet, observations: Tensor, state: State) -> tuple[NetOutput, State]:
        """As `PolicyNet.act`: output in float32, memory in the types that it came in."""
        with self._autocast():
            output, after = net.act(observations, state)
        return _float32(output), tuple(new.to(part.dtype) for new, part in zip(after, state, strict=True))

    def unroll(self, net: PolicyNet, observations: Tensor, state: State, resets: Tensor) -> NetOutput:
        """As `PolicyNet.unroll`: output in float32, of the weights as they are now."""
        torch.clear_autocast_cache()  # whoever calls may be in a region, with weights from before the last update
        with self._autocast():
            return _float32(net.unroll(observations, state, resets))

    @contextmanager
    def playing(self, repeated: bool = False) -> Iterator[None]:
        """Steps without gradients, between which weights do not change: they are rounded once, not in every step.
        `repeated`: but in every step, as a CUDA graph does it again after they have changed."""
        if self._exact or repeated:
            with torch.inference_mode():
                yield
            return
        # Torch keeps what it has rounded until the outermost region is left, even if that one rounds nothing; but not
        # in inference mode.
        torch.clear_autocast_cache()
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            yield

    def set_up(self) -> None:
        """Let products of float32 numbers on CUDA round their factors to TF32 where others are rounded further anyway;
        where float32 is asked for, they are exact."""
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("highest" if self._exact else "high")
            torch.backends.cudnn.allow_tf32 = not self._exact

    @property
    def _exact(self) -> bool:
        return self.dtype is torch.float32

    def _autocast(self) -> AbstractContextManager[object]:
        if self._exact and not torch.is_autocast_enabled(self.device.type):
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype, enabled=not self._exact)


FLOAT32 = Precision(torch.float32, torch.device("cpu"))


def find_precision(name: str, device: torch.device) -> Precision:
    """The precision of a name for a device; `auto` is bf16 on CUDA where that is fast. Raise UserError where there is
    none such."""
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if name == "float32" or (name == "auto" and not fast):
        return Precision(torch.float32, device)
    if not (fast or (device.type != "cuda" and torch.amp.is_autocast_available(device.type))):
        raise UserError(f"trainer.precision=bf16: this {device.type} device has no bfloat16; it has float32")
    return Precision(torch.bfloat16, device)


def fast_precision(device: torch.device) -> Precision:
    """The fastest of a device, for nets that only play."""
    fastest = find_precision("auto", device)
    return Precision(torch.float16, device) if device.type == "cuda" and fastest.dtype is torch.float32 else fastest


def _float32(output: NetOutput) -> NetOutput:
    return NetOutput(*(None if part is None else part.float() for part in output))  # pyright: ignore
