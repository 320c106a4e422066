"""One layer of a perceiver on CPU: latents attend over a row's tokens, then a small MLP, each beside a residual.

Rows go through all of it a few at a time, so that what is in between stays in the cache; only what the backward pass
cannot do without is kept.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from metta.policy.nets.modules import attention, elementwise
from metta.policy.nets.modules.base import FeatureBatch
from metta.policy.nets.modules.linear import ONE_DNN, one_dnn_product
from metta.policy.nets.modules.threads import run, run_summing

ROWS = 128  # at once per thread: with fewer, Python takes its share; with more, memory


class LayerWeights(NamedTuple):
    """Queries come out ready for tokens of `width` numbers, and means of tokens go in: `PerceiverLayer.absorbed`."""

    query_norm: Tensor  # [dim]
    query_norm_bias: Tensor
    query: Tensor  # [heads x width, dim]
    out: Tensor  # [dim, heads x width]
    out_bias: Tensor
    mlp_norm: Tensor
    mlp_norm_bias: Tensor
    up: Tensor  # [hidden, dim]
    up_bias: Tensor
    down: Tensor  # [dim, hidden]
    down_bias: Tensor

    def with_products_in(self, dtype: torch.dtype) -> "LayerWeights":
        """The same, with those of products in another type."""
        norms = ("query_norm", "query_norm_bias", "mlp_norm", "mlp_norm_bias")
        parts = zip(self._fields, self, strict=True)
        return LayerWeights(*(part.to(part.dtype if name in norms else dtype) for name, part in parts))


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [n, in] -> [n, out] float32; x is taken in the type of the weight, which is float32 or bfloat16."""
    if ONE_DNN and weight.dtype is torch.float32:
        return one_dnn_product(x, weight, bias)
    return nn.functional.linear(x.to(weight.dtype), weight, bias).float()


def _chunks(rows: int) -> Iterator[tuple[int, int]]:
    size = ROWS * torch.get_num_threads()
    return ((begin, min(begin + size, rows)) for begin in range(0, rows, size))


def _add_product(total: Tensor, a: Tensor, b: Tensor, dtype: torch.dtype) -> None:
    """Add a [n, out] transposed times b [n, in] to total [out, in]: a weight's gradient."""
    a, b = a.to(dtype), b.to(dtype)
    if a.shape[1] > b.shape[1]:  # oneDNN is faster with fewer rows than columns
        total, a, b = total.t(), b, a
    total += product(a.t(), b.t())


def _normalised(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    output = torch.empty_like(x)
    run(elementwise.normalise, len(x), x, weight, bias, output)
    return output


def _by_row(x: Tensor, rows: int, width: int) -> Tensor:
    """[rows x latents, heads x width] -> [rows, latents x heads, width]."""
    return x.view(rows, -1, width)


def _queries(w: LayerWeights, x: Tensor) -> Tensor:
    return product(_normalised(x, w.query_norm, w.query_norm_bias), w.query)


def _queries_backward(w: LayerWeights, sums: LayerWeights, x: Tensor, query_gradient: Tensor, gradient: Tensor) -> None:
    """Add to the gradient of x what comes through its queries."""
    _add_product(sums.query, query_gradient, _normalised(x, w.query_norm, w.query_norm_bias), w.query.dtype)
    passed = product(query_gradient, w.query.t())
    norm_sums = (sums.query_norm, sums.query_norm_bias)
    run_summing(elementwise.normalise_backward, len(x), x, w.query_norm, passed, gradient, sums=norm_sums)


def _mlp(w: LayerWeights, x: Tensor, kept: Tensor | None) -> Tensor:
    """What it gives without its residual; what was before GELU goes to `kept`."""
    hidden = product(_normalised(x, w.mlp_norm, w.mlp_norm_bias), w.up, w.up_bias)
    if kept is not None:
        kept.copy_(hidden)
    run(elementwise.gelu, len(hidden), hidden)
    return product(hidden, w.down, w.down_bias)


def _mlp_backward(w: LayerWeights, sums: LayerWeights, x: Tensor, hidden: Tensor, gradient: Tensor) -> None:
    """Add to the gradient of x what comes through the MLP."""
    activated, hidden_gradient = torch.empty_like(hidden), product(gradient, w.down.t())
    run(elementwise.gelu_backward, len(hidden), hidden, hidden_gradient, activated)
    _add_product(sums.down, gradient, activated, w.down.dtype)
    _add_product(sums.up, hidden_gradient, _normalised(x, w.mlp_norm, w.mlp_norm_bias), w.up.dtype)
    sums.down_bias.add_(gradient.sum(0))
    sums.up_bias.add_(hidden_gradient.sum(0))
    passed, norm_sums = product(hidden_gradient, w.up.t()), (sums.mlp_norm, sums.mlp_norm_bias)
    run_summing(elementwise.normalise_backward, len(x), x, w.mlp_norm, passed, gradient, sums=norm_sums)


class _Layer(torch.autograd.Function):
    """Latents [rows, count, dim], or [1, count, dim] where they are the same in every row."""

    @staticmethod
    def forward(
        ctx: Any, latents: Tensor, tokens: Tensor, starts: Tensor, dtype: torch.dtype, keeps: bool, *weights: Tensor
    ) -> Tensor:
        w = LayerWeights(*weights).with_products_in(dtype)
        rows, (_, count, dim), width = len(starts) - 1, latents.shape, tokens.shape[1]
        kept = (
            [torch.empty(rows * count, size) for size in (len(w.query), len(w.query), dim, len(w.up))] if keeps else []
        )
        output = torch.empty(rows * count, dim)
        same = _queries(w, latents[0]) if len(latents) == 1 else None
        for begin, end in _chunks(rows):
            part, here = slice(begin * count, end * count), end - begin
            x = latents[begin:end].reshape(-1, dim) if same is None else latents[0].repeat(here, 1)
            queries = _queries(w, x) if same is None else same.repeat(here, 1)
            means = torch.empty_like(queries)
            shaped = (_by_row(values, here, width) for values in (queries, means))
            run(attention.attend, here, tokens, starts[begin:], *shaped)
            between = product(means, w.out, w.out_bias).add_(x)
            added = _mlp(w, between, kept[-1][part] if keeps else None)
            torch.add(between, added, out=output[part])
            for whole, now in zip(kept, (queries, means, between), strict=False):
                whole[part] = now
        ctx.save_for_backward(latents, tokens, starts, *weights)
        ctx.kept, ctx.dtype = kept, dtype
        return output.view(rows, count, dim)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        latents, tokens, starts, *weights = ctx.saved_tensors
        w = LayerWeights(*weights).with_products_in(ctx.dtype)
        sums = LayerWeights(*(torch.zeros_like(weight) for weight in weights))
        rows, (_, count, dim), width = len(starts) - 1, latents.shape, tokens.shape[1]
        latent_gradient, token_gradient = torch.empty(len(latents) * count, dim), torch.empty(*tokens.shape)
        same_gradient = latents.new_zeros(count, dim + len(w.query))
        given = gradients[0].reshape(-1, dim)
        for begin, end in _chunks(rows):
            part, here = slice(begin * count, end * count), end - begin
            queries, means, between, hidden = (whole[part] for whole in ctx.kept)
            gradient, query_gradient = given[part].clone(), torch.empty_like(queries)
            _mlp_backward(w, sums, between, hidden, gradient)
            _add_product(sums.out, gradient, means, w.out.dtype)
            sums.out_bias.add_(gradient.sum(0))
            shaped = (_by_row(v, here, width) for v in (queries, product(gradient, w.out.t()), query_gradient))
            queries, mean_gradient, by_row = shaped
            run(attention.attend_backward, here, tokens, starts[begin:], queries, mean_gradient, token_gradient, by_row)
            if len(latents) == 1:
                same_gradient += torch.cat([gradient, query_gradient], 1).view(here, count, -1).sum(0)
            else:
                _queries_backward(w, sums, latents[begin:end].reshape(-1, dim), query_gradient, gradient)
                latent_gradient[part] = gradient
        if len(latents) == 1:
            gradient, query_gradient = (same_gradient[:, :dim], same_gradient[:, dim:])
            latent_gradient.copy_(gradient)
            _queries_backward(w, sums, latents[0], query_gradient.contiguous(), latent_gradient)
        return latent_gradient.view_as(latents), token_gradient, None, None, None, *sums


def layer(latents: Tensor, tokens: Tensor, starts: Tensor, dtype: torch.dtype, weights: LayerWeights) -> Tensor:
    """Latents [n or 1, count, dim] and packed tokens [live, width] -> latents [n, count, dim].

    Products are done in `dtype`, sums and all else in float32.
    """
    return _Layer.apply(latents, tokens, starts, dtype, torch.is_grad_enabled(), *weights)  # pyright: ignore


class _Packed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, padding: Tensor, starts: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        features = features.float().contiguous()
        packed = torch.empty(int(starts[-1]), features.shape[-1])
        run(attention.pack, len(features), features, padding, starts, weight, bias, packed)
        ctx.save_for_backward(features, padding, starts, weight)
        return packed

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        features, padding, starts, weight = ctx.saved_tensors
        output, sums = torch.empty(*features.shape), (torch.zeros_like(weight), torch.zeros_like(weight))
        reads = (features, padding, starts, weight, gradients[0].contiguous(), output)
        run_summing(attention.pack_backward, len(features), *reads, sums=sums)
        return output, None, None, *sums


def starts_of(padding: Tensor) -> Tensor:
    """Where each row's tokens start among all that are no padding: bool [n, tokens] -> int64 [n + 1]."""
    starts = torch.empty(len(padding) + 1, dtype=torch.int64)
    attention.count_live(padding.numpy(), starts.numpy())
    return starts


def packed(tokens: FeatureBatch, starts: Tensor, norm: nn.LayerNorm) -> Tensor:
    """The tokens that are no padding, normalised: [live, width]."""
    return _Packed.apply(*tokens, starts, norm.weight, norm.bias)  # pyright: ignore[reportReturnType]


class _NormalisedMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        output = x.new_empty(len(x), x.shape[-1])
        run(elementwise.normalised_mean, len(x), x, weight, bias, output)
        ctx.save_for_backward(x, weight)
        return output

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor, ...]:
        x, weight = ctx.saved_tensors
        output, sums = torch.empty(*x.shape), (torch.zeros_like(weight), torch.zeros_like(weight))
        reads = (x, weight, gradients[0].contiguous(), output)
        run_summing(elementwise.normalised_mean_backward, len(x), *reads, sums=sums)
        return output, *sums


def normalised_mean(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Mean over parts of x [n, parts, dim], each normalised: [n, dim]."""
    return _NormalisedMean.apply(x.contiguous(), norm.weight, norm.bias)  # pyright: ignore[reportReturnType]
