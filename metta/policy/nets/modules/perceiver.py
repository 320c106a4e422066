"""A few latents that attend over the tokens of an observation (Perceiver, Jaegle et al., 2021)."""

from typing import Literal

import torch
from torch import Tensor, nn

from metta.policy.nets.modules import latents
from metta.policy.nets.modules.base import FeatureBatch
from metta.policy.nets.modules.latents import LayerWeights

INITIAL_DEVIATION = 0.02  # of latents
ALIGNED = 8  # numbers: products on other devices are fast in multiples of it

Pool = Literal["mean", "first"]


class PerceiverLayer(nn.Module):
    """Attention over tokens, then an MLP; each reads its input normalised and adds to it."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim)
        self.mlp_norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, hidden)
        self.down = nn.Linear(hidden, dim)

    def absorbed(self, key: Tensor, value: Tensor, heads: int) -> LayerWeights:
        """Its weights with the projections of keys and values [dim, width] inside those of queries and output.

        A score (q W_q) · (x W_k) is (q W_q W_kᵀ) · x, and a mean of x W_v is the mean of x, times W_v: neither keys nor
        values are ever there, and tokens have fewer numbers than these.
        """
        dim, width = key.shape
        size = dim // heads
        keys, values = key.view(heads, size, width), value.view(heads, size, width)
        query = keys.mT @ self.query.weight.view(heads, size, dim) * size**-0.5  # [heads, width, dim]
        out = self.out.weight.view(dim, heads, size).transpose(0, 1) @ values  # [heads, dim, width]
        return LayerWeights(
            self.query_norm.weight, self.query_norm.bias, query.flatten(0, 1),
            out.transpose(0, 1).flatten(1), self.out.bias,
            self.mlp_norm.weight, self.mlp_norm.bias, self.up.weight, self.up.bias, self.down.weight, self.down.bias,
        )  # fmt: skip


class Perceiver(nn.Module):
    """Features [n, tokens, width] -> [n, dim]: the mean over the latents, normalised, or the first of them.

    Keys and values are projected from the normalised tokens once for all layers. What attends over no tokens at all
    gets zeros from it.
    """

    def __init__(self, width: int, dim: int, count: int, heads: int, layers: int, hidden: int, pool: Pool) -> None:
        super().__init__()
        self._heads, self._pool = heads, pool
        self.latents = nn.Parameter(torch.empty(count, dim))
        nn.init.trunc_normal_(self.latents, std=INITIAL_DEVIATION)
        self.token_norm = nn.LayerNorm(width)
        self.key = nn.Linear(width, dim, bias=False)  # a bias would add the same to all scores of a query
        self.value = nn.Linear(width, dim, bias=False)  # and here the same to all outputs, as that of `out` does
        self.layers = nn.ModuleList(PerceiverLayer(dim, hidden) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: FeatureBatch) -> Tensor:
        plain = tokens.features.device.type != "cpu" or torch.compiler.is_compiling()
        return self._plain(tokens) if plain else self._packed(tokens)

    def _packed(self, tokens: FeatureBatch) -> Tensor:
        """By kernels that leave out padding."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        hidden, starts = self.latents.unsqueeze(0), latents.starts_of(tokens.padding)
        packed = latents.packed(tokens, starts, self.token_norm)
        for weights in self._absorbed():
            hidden = latents.layer(hidden, packed, starts, dtype, weights)
        return latents.normalised_mean(self._pooled(hidden), self.norm)

    def _plain(self, tokens: FeatureBatch) -> Tensor:
        """By torch's operations, of the same sizes whatever is padding: nothing waits for the device."""
        n, (count, dim) = len(tokens.features), self.latents.shape
        empty = tokens.padding.all(1, keepdim=True).unsqueeze(-1)
        unseen = tokens.padding.unsqueeze(1) & ~empty  # softmax over nothing is not a number
        more = -tokens.features.shape[-1] % ALIGNED
        x = nn.functional.pad(self.token_norm(tokens.features), (0, more))
        hidden = self.latents.unsqueeze(0)
        for w in self._absorbed(more):
            normed = nn.functional.layer_norm(hidden, (dim,), w.query_norm, w.query_norm_bias)
            queries = nn.functional.linear(normed, w.query).reshape(len(hidden), -1, x.shape[-1])
            scores = (queries @ x.mT).masked_fill(unseen, -torch.inf)
            means = (scores.softmax(-1) @ x).masked_fill(empty, 0).view(n, count, -1)
            hidden = hidden + nn.functional.linear(means, w.out, w.out_bias)
            normed = nn.functional.layer_norm(hidden, (dim,), w.mlp_norm, w.mlp_norm_bias)
            inner = nn.functional.gelu(nn.functional.linear(normed, w.up, w.up_bias))
            hidden = hidden + nn.functional.linear(inner, w.down, w.down_bias)
        return self.norm(self._pooled(hidden)).mean(1)

    def _absorbed(self, more: int = 0) -> list[LayerWeights]:
        """Weights of the layers for tokens with so many zeros behind their numbers."""
        key, value = (nn.functional.pad(projection.weight, (0, more)) for projection in (self.key, self.value))
        return [layer.absorbed(key, value, self._heads) for layer in self.layers]  # pyright: ignore

    def _pooled(self, hidden: Tensor) -> Tensor:
        """The latents that count, [n, some, dim]."""
        return hidden if self._pool == "mean" else hidden[:, :1]
