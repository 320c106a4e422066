"""The optimiser and its schedule."""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from metta.policy.nets.interface import PolicyNet
from metta.rl.learning.muon import MuonAndAdamW, hidden_matrices
from metta.rl.learning.schedule_free import ScheduleFreeAdamW
from metta.rl.learning.settings import OptimizerSettings

ADAM = {"step", "exp_avg", "exp_avg_sq"}
STATES = {  # what each optimiser keeps of a parameter
    "adam": ADAM,
    "adamw": ADAM,
    "schedulefree_adamw": {"step", "exp_avg_sq", "z", "largest_rate", "sum_of_squares"},
    "muon": {*ADAM, "momentum_buffer"},
}


def make_optimizer(net: PolicyNet, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """The optimiser of a net's parameters."""
    betas, decay = (settings.beta1, settings.beta2), settings.weight_decay
    common: dict[str, Any] = {"betas": betas, "eps": settings.eps, "weight_decay": decay}
    if settings.type == "schedulefree_adamw":
        return ScheduleFreeAdamW(net.parameters(), settings.learning_rate, **common)
    if settings.type == "muon":
        matrices = dict.fromkeys(hidden_matrices(net))
        others = [parameter for parameter in net.parameters() if parameter not in matrices]
        return MuonAndAdamW([*matrices], others, settings.learning_rate, **common)
    return _fused_adam(net, settings, common)


def _fused_adam(net: PolicyNet, settings: OptimizerSettings, common: dict[str, Any]) -> torch.optim.Optimizer:
    """Adam or AdamW in one fused kernel per step. On CUDA a graph may hold the step: the learning rate lies there."""
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    device = next(net.parameters()).device
    on_cuda = device.type == "cuda"
    optimizer = kinds[settings.type](
        net.parameters(),
        lr=torch.tensor(settings.learning_rate, device=device) if on_cuda else settings.learning_rate,
        fused=device.type in ("cpu", "cuda"),
        capturable=on_cuda,
        **common,
    )
    optimizer._warned_capturable_if_run_uncaptured = True  # pyright: ignore # a fused step is no slower for it
    return optimizer


def learning(optimizer: torch.optim.Optimizer) -> AbstractContextManager[None]:
    """Within, a net's parameters are where its optimiser takes gradients; outside they are what plays and is saved."""
    return optimizer.at_gradients() if isinstance(optimizer, ScheduleFreeAdamW) else nullcontext()


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
