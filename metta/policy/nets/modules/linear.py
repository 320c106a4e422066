"""Linear layers on CPU by oneDNN.

Torch's own single-precision product on CPU is MKL's, which reaches less than half of oneDNN's rate on AMD processors.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def one_dnn_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x [n, in] times weight [out, in] transposed, plus bias [out]."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _one_dnn_works() -> bool:
    """Whether the operator that torch's own compiler emits for linear layers is there and right."""
    if not torch.backends.mkldnn.is_available():
        return False
    x, weight = torch.arange(6.0, device="cpu").view(2, 3), torch.ones(1, 3, device="cpu")
    try:
        return torch.equal(one_dnn_product(x, weight, None), x @ weight.t())
    except (AttributeError, RuntimeError):
        return False


ONE_DNN = _one_dnn_works()
# Both operands of a weight's gradient are transposed: oneDNN copies them first, MKL does not, and with these
# instructions its product is fast on AMD processors too.
MKL_FOR_WEIGHTS = torch.backends.mkl.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"


def _weight_gradient(gradient: Tensor, x: Tensor) -> Tensor:
    """gradient [n, out], x [n, in] -> [out, in]."""
    return gradient.t() @ x if MKL_FOR_WEIGHTS else one_dnn_product(gradient.t(), x.t(), None)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return one_dnn_product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        gradient = gradients[0].contiguous()
        return (
            one_dnn_product(gradient, weight.t(), None) if needs_x else None,
            _weight_gradient(gradient, x) if needs_weight else None,
            gradient.sum(0) if needs_bias else None,
        )


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [n, in] -> [n, out], as torch.nn.functional.linear."""
    plain = x.dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
    if ONE_DNN and plain and x.device.type == "cpu" and not torch.compiler.is_compiling():
        return _Linear.apply(x, weight, bias)  # pyright: ignore[reportReturnType]
    return nn.functional.linear(x, weight, bias)


class Linear(nn.Linear):
    """torch.nn.Linear for inputs [n, in], with the fastest product at hand."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def orthogonal(layer: nn.Linear, gain: float) -> nn.Linear:
    """Orthogonal weights of that gain and zero bias, as PufferLib initialises layers."""
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
