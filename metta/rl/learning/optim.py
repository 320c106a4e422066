"""The optimiser and its schedule."""

import math

import torch
from torch import nn

from metta.rl.learning.settings import OptimizerSettings


def make_optimizer(net: nn.Module, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """Adam or AdamW in one fused kernel per step. On CUDA a graph may hold the step: the learning rate lies there."""
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    device = next(net.parameters()).device
    on_cuda = device.type == "cuda"
    optimizer = kinds[settings.type](
        net.parameters(),
        lr=torch.tensor(settings.learning_rate, device=device) if on_cuda else settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=device.type in ("cpu", "cuda"),
        capturable=on_cuda,
    )
    optimizer._warned_capturable_if_run_uncaptured = True  # pyright: ignore # a fused step is no slower for it
    return optimizer


def learning_rate(settings: OptimizerSettings, progress: float) -> float:
    """Learning rate at `progress` (0 to 1) of training: cosine from the first to min_lr_ratio of it."""
    if not settings.anneal_lr:
        return settings.learning_rate
    share = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return settings.learning_rate * (settings.min_lr_ratio + (1 - settings.min_lr_ratio) * share)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)  # where it lies: a graph reads it there
        else:
            group["lr"] = rate
