"""The game's observations as tokens without padding, and tokens as numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from metta.game.observation import EnvInfo
from metta.policy.nets.modules.base import FeatureBatch, TokenBatch
from metta.policy.nets.modules.threads import run, run_summing
from metta.policy.nets.modules.token_conv import EMPTY, feature_scales

GLOBAL = 0xFE  # place of a token that has none
FEATURES = 256  # a token's feature is one byte
INITIAL_DEVIATION = 0.02  # of embedded features


@njit(cache=True, nogil=True)
def _longest(observations, most) -> int:
    """Tokens, at least 1 and at most `most`, of the row that has most of them."""
    longest = 1
    for n in range(observations.shape[0]):
        live = 0
        for t in range(observations.shape[1]):
            live += observations[n, t, 0] != EMPTY
        longest = max(longest, live)
    return min(longest, most)


@njit(cache=True, nogil=True)
def _gather(begin, end, observations, tokens, padding) -> None:
    """For rows begin..end the first tokens that are there, in order, and what is left as padding."""
    for n in range(begin, end):
        live = 0
        for t in range(observations.shape[1]):
            if observations[n, t, 0] != EMPTY and live < tokens.shape[1]:
                for k in range(3):
                    tokens[n, live, k] = observations[n, t, k]
                live += 1
        padding[n, :live] = False
        padding[n, live:] = True
        tokens[n, live:] = EMPTY


class TokenShim(nn.Module):
    """Observations uint8 [n, tokens, 3] -> the first `most` tokens of each that are there.

    On CPU, in training, there are as many columns as the longest row needs. How sums over them round may depend on
    their number, and so on the whole batch: not so when it plays.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def forward(self, observations: Tensor) -> TokenBatch:
        width = min(self._most, observations.shape[1])
        if observations.device.type != "cpu" or torch.compiler.is_compiling():
            return _gathered(observations, width)
        observations = observations.contiguous()
        width = _longest(observations.numpy(), width) if self.training else width
        tokens = observations.new_empty(len(observations), width, 3)
        padding = torch.empty(len(observations), width, dtype=torch.bool)
        run(_gather, len(observations), observations, tokens, padding)
        return TokenBatch(tokens, padding)


def _gathered(observations: Tensor, width: int) -> TokenBatch:
    """`_gather` by torch's operations, of the same sizes whatever is padding: nothing waits for the device."""
    live = observations[..., 0] != EMPTY
    column = torch.where(live, live.cumsum(1) - 1, width).clamp_(max=width)  # the last one is for what is left out
    tokens = observations.new_full((len(observations), width + 1, 3), EMPTY)
    tokens = tokens.scatter_(1, column.unsqueeze(-1).expand_as(observations), observations)[:, :width]
    return TokenBatch(tokens, tokens[..., 0] == EMPTY)


def place_features(window: Sequence[int], frequencies: int) -> Tensor:
    """Cosines and sines of x, then of y, of each place: float32 [256, 4 x frequencies].

    Across the window (height, width) a coordinate goes from -1 to 1; frequency k multiplies it by 2^k. A place outside
    is the nearest one inside; no place (global tokens, padding) is zeros, which no cell has.
    """
    places = torch.arange(FEATURES)
    scale = 2.0 ** torch.arange(frequencies)
    parts = []
    for coordinate, size in ((places & 15, window[1]), (places >> 4, window[0])):
        share = coordinate.clamp(max=size - 1) / max(1, size - 1)
        angle = (2 * share - 1).unsqueeze(1) * scale
        parts += [angle.cos(), angle.sin()]
    return torch.cat(parts, 1) * (places < GLOBAL).unsqueeze(1)


@njit(cache=True, nogil=True)
def _embed(begin, end, tokens, padding, embedding, places, shares, features) -> None:
    """Numbers of the tokens of rows begin..end into features [n, tokens, width], but for padding."""
    known, placed = embedding.shape[1], places.shape[1]
    for n in range(begin, end):
        for t in range(tokens.shape[1]):
            if padding[n, t]:
                continue
            place, feature, value = tokens[n, t, 0], tokens[n, t, 1], tokens[n, t, 2]
            for k in range(known):
                features[n, t, k] = embedding[feature, k]
            for k in range(placed):
                features[n, t, known + k] = places[place, k]
            features[n, t, known + placed] = np.float32(value) * shares[feature]


@njit(cache=True, nogil=True)
def _embed_backward(begin, end, tokens, padding, gradient, embedding_gradient) -> None:
    for n in range(begin, end):
        for t in range(tokens.shape[1]):
            if not padding[n, t]:
                for k in range(embedding_gradient.shape[1]):
                    embedding_gradient[tokens[n, t, 1], k] += gradient[n, t, k]


class _Embed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, embedding: Tensor, tokens: Tensor, padding: Tensor, places: Tensor, shares: Tensor) -> Tensor:
        features = embedding.new_zeros(*padding.shape, embedding.shape[1] + places.shape[1] + 1)
        run(_embed, len(tokens), tokens, padding, embedding, places, shares, features)
        ctx.save_for_backward(tokens, padding)
        ctx.width = embedding.shape[1]
        return features

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor, None, None, None, None]:
        tokens, padding = ctx.saved_tensors
        total = gradients[0].new_zeros(FEATURES, ctx.width)
        run_summing(_embed_backward, len(tokens), tokens, padding, gradients[0].contiguous(), sums=(total,))
        return total, None, None, None, None


class TokenEmbed(nn.Module):
    """Tokens -> embedded feature, Fourier features of the place, and value as a share of what the feature reaches."""

    places: Tensor
    shares: Tensor

    def __init__(self, info: EnvInfo, size: int, frequencies: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(FEATURES, size))
        nn.init.trunc_normal_(self.embedding, std=INITIAL_DEVIATION)
        self.register_buffer("places", place_features(info.window, frequencies), persistent=False)
        self.register_buffer("shares", 1 / feature_scales(info), persistent=False)

    def forward(self, batch: TokenBatch) -> FeatureBatch:
        tokens, padding = batch
        if tokens.device.type == "cpu" and not torch.compiler.is_compiling():
            reads = (tokens.contiguous(), padding.contiguous())
            return FeatureBatch(_Embed.apply(self.embedding, *reads, self.places, self.shares), padding)  # pyright: ignore
        place, feature, value = tokens.int().unbind(-1)
        features = nn.functional.embedding(feature, self.embedding)
        share = (value * self.shares[feature]).unsqueeze(-1)
        return FeatureBatch(torch.cat([features, self.places[place], share], -1), padding)
