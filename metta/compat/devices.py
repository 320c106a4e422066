"""Which device training uses (`cogames.device`)."""

from typing import Any

import torch


def resolve_training_device(console: Any, requested: str) -> torch.device:
    """The device that is named; auto: a CUDA device where there is one. Raises ValueError for one that is not there."""
    if requested.strip().lower() == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(requested)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"there is no CUDA device for device={requested}; use cpu or auto")
    return device
