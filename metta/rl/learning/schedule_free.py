"""Adam without a schedule of the learning rate: what plays is the mean of its steps (Defazio et al. 2024, The Road Less
Scheduled, arXiv 2405.15682)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class ScheduleFreeAdamW(torch.optim.Optimizer):
    """Steps z without momentum, their weighted mean x, and y between them, where gradients are taken:

        y = beta1 x + (1 - beta1) z
        z <- z - rate (gradient / (sqrt(v) + eps) + weight_decay y),  v as of Adam with beta2
        x <- x + c (z - x),  c = w / (sum of all w so far),  w = square of the largest rate so far

    The parameters are x: that plays, is evaluated and saved. Only within `at_gradients` they are y.
    """

    found_inf: Tensor | None = None  # not 0: steps change nothing, as in torch.amp

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self._means: dict[nn.Parameter, Tensor] = {}  # x, while the parameters are y

    @contextmanager
    def at_gradients(self) -> Iterator[None]:
        """Within, the parameters are where gradients are taken, and steps may be made."""
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    self._means[parameter] = parameter.clone()
                    if "z" in (state := self.state[parameter]):
                        parameter.lerp_(state["z"], 1 - group["betas"][0])
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, mean in self._means.items():
                    parameter.copy_(mean)
            self._means.clear()

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Step from the gradients of the parameters, which must be y."""
        if self.found_inf is not None and bool(self.found_inf):
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, parameter.grad, group)

    def _step(self, y: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> None:
        x, state, rate, (beta1, beta2) = self._means[y], self.state[y], group["lr"], group["betas"]
        if not state:
            state |= {"z": x.clone(), "exp_avg_sq": torch.zeros_like(x)}
            state |= {name: torch.zeros((), device=x.device) for name in ("step", "largest_rate", "sum_of_squares")}
        state["step"] += 1
        state["largest_rate"].clamp_(min=rate)
        state["sum_of_squares"] += state["largest_rate"] ** 2
        share = (state["largest_rate"] ** 2 / state["sum_of_squares"]).nan_to_num_()  # 0 as long as all rates were 0
        state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        unbiased = state["exp_avg_sq"] / (1 - beta2 ** state["step"])
        change = gradient / unbiased.sqrt_().add_(group["eps"])
        state["z"].sub_(change.add_(y, alpha=group["weight_decay"]), alpha=rate)
        x.lerp_(state["z"], share)
        y.copy_(x.lerp(state["z"], 1 - beta1))
