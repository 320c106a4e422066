"""The token encoder as one would write it in torch: all columns, keys and values projected, masked softmax."""

import torch
from torch import Tensor, nn

from metta.game.observation import EnvInfo


class ReferenceLayer(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.query_norm, self.query, self.out = nn.LayerNorm(dim), nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim)
        self.mlp_norm, self.up, self.down = nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, latents: Tensor, keys: Tensor, values: Tensor, padding: Tensor) -> Tensor:
        n, heads, _, size = keys.shape
        queries = self.query(self.query_norm(latents)).view(n, -1, heads, size).transpose(1, 2)
        scores = (queries @ keys.transpose(2, 3) * size**-0.5).masked_fill(padding.view(n, 1, 1, -1), -torch.inf)
        weights = scores.softmax(-1).masked_fill(padding.view(n, 1, 1, -1), 0)  # of nothing: nothing
        latents = latents + self.out((weights @ values).transpose(1, 2).flatten(2))
        return latents + self.down(nn.functional.gelu(self.up(self.mlp_norm(latents))))


class ReferencePerceiver(nn.Module):
    def __init__(
        self, width: int = 21, dim: int = 128, count: int = 12, heads: int = 4, layers: int = 2, hidden: int = 512
    ) -> None:
        super().__init__()
        self.heads = heads
        self.latents = nn.Parameter(torch.zeros(count, dim))
        self.token_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(dim)
        self.key, self.value = nn.Linear(width, dim, bias=False), nn.Linear(width, dim, bias=False)
        self.layers = nn.ModuleList(ReferenceLayer(dim, hidden) for _ in range(layers))

    def forward(self, features: Tensor, padding: Tensor) -> Tensor:
        n, tokens, _ = features.shape
        x = self.token_norm(features)
        keys, values = (layer(x).view(n, tokens, self.heads, -1).transpose(1, 2) for layer in (self.key, self.value))
        latents = self.latents.expand(n, -1, -1)
        for layer in self.layers:
            latents = layer(latents, keys, values, padding)
        return self.norm(latents).mean(1)


class ReferenceEmbed(nn.Module):
    def __init__(self, info: EnvInfo, size: int = 8, frequencies: int = 3) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(256, size))
        self.frequencies, self.window = 2.0 ** torch.arange(frequencies), info.window
        self.scales = torch.ones(256)
        for feature in info.features:
            self.scales[feature.id] = feature.normalization

    def forward(self, tokens: Tensor) -> Tensor:
        place, feature, value = tokens.long().unbind(-1)
        height, width = self.window
        x, y = (place & 15).clamp(max=width - 1), (place >> 4).clamp(max=height - 1)
        x, y = x / (width - 1) * 2 - 1, y / (height - 1) * 2 - 1
        angles = [coordinate.unsqueeze(-1) * self.frequencies for coordinate in (x, y)]
        fourier = torch.cat([part for angle in angles for part in (angle.cos(), angle.sin())], -1)
        fourier = fourier.masked_fill((place >= 0xFE).unsqueeze(-1), 0)
        return torch.cat([self.embedding[feature], fourier, (value / self.scales[feature]).unsqueeze(-1)], -1)


class Reference(nn.Module):
    """Shim, embedding and perceiver: observations uint8 [n, tokens, 3] -> [n, dim]."""

    def __init__(self, info: EnvInfo, most: int = 128) -> None:
        super().__init__()
        self.most, self.embed, self.perceiver = most, ReferenceEmbed(info), ReferencePerceiver()

    def forward(self, observations: Tensor) -> Tensor:
        order = (observations[..., 0] == 0xFF).sort(dim=1, stable=True).indices[:, : self.most]
        tokens = observations.gather(1, order.unsqueeze(-1).expand(-1, -1, 3))
        return self.perceiver(self.embed(tokens), tokens[..., 0] == 0xFF)
