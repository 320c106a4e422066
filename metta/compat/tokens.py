"""Places of tokens as torch tensors (`mettagrid.policy.token_encoder`)."""

import torch
from torch import Tensor


def coordinates(observations: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Column and row of tokens [..., 3], each [...]."""
    places = observations[..., 0].to(torch.uint8)
    return (places & 0x0F).to(dtype), (places >> 4).to(dtype)
