"""Muon (Jordan et al. 2024) for the matrices between layers, beside AdamW for all other parameters."""

from typing import Any

import torch
from torch import Tensor, nn

from metta.policy.nets.interface import PolicyNet


class MuonAndAdamW(torch.optim.Optimizer):
    """torch.optim.Muon on some parameters and AdamW on the others, as one optimiser with the state of both.

    Muon's steps are as large as AdamW's would be (Liu et al. 2025, arXiv 2502.16982), so that one learning rate and
    weight decay serve both. Muon reads its rate on the host.
    """

    found_inf: Tensor | None = None  # not 0: steps change nothing, as in torch.amp

    def __init__(
        self,
        matrices: list[nn.Parameter],
        others: list[nn.Parameter],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        """`betas` and `eps` are AdamW's; its first is Muon's momentum too."""
        self._parts: list[torch.optim.Optimizer] = []
        if matrices:
            muon = torch.optim.Muon(matrices, lr, weight_decay, momentum=betas[0], adjust_lr_fn="match_rms_adamw")
            self._parts.append(muon)
        if others:
            self._parts.append(torch.optim.AdamW(others, lr, betas, eps, weight_decay))
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        """Let both work on the state and the groups of this one."""
        for part, group in zip(self._parts, self.param_groups, strict=True):
            part.state, part.param_groups = self.state, [group]

    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Step from the gradients of the parameters."""
        if self.found_inf is not None and bool(self.found_inf):
            return
        for part in self._parts:
            part.step()


def hidden_matrices(net: PolicyNet) -> list[nn.Parameter]:
    """The weights of linear and recurrent layers but those that give logits or a value, [outputs, inputs] each."""
    last = {1, sum(net.info.action_sizes)}
    layers = [module for module in net.modules() if isinstance(module, nn.Linear | nn.RNNBase)]
    weights = (parameter for layer in layers for parameter in layer.parameters(recurse=False))
    matrices = (weight for weight in weights if weight.dim() == 2 and weight.shape[0] not in last)
    return list(dict.fromkeys(matrices))
