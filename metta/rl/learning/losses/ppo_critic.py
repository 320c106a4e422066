"""Value loss: squared error to the returns, clipped around the old value."""

import torch

from metta.rl.learning.losses.base import LossResult, Minibatch, Prediction
from metta.rl.learning.settings import PpoCriticSettings


class PpoCritic:
    """vf_coef times half the mean squared error of the values to advantage + old value.

    With clip_vloss the larger of two errors counts: the value's and that of the value kept near the old one.
    """

    def __init__(self, settings: PpoCriticSettings) -> None:
        self.settings = settings

    def prepare(self, batch: Minibatch, prediction: Prediction) -> Minibatch:
        return batch

    def __call__(self, batch: Minibatch, prediction: Prediction) -> LossResult:
        returns = batch.advantages + batch.values
        errors = (prediction.values - returns) ** 2
        if self.settings.clip_vloss:
            reach = self.settings.vf_clip_coef
            near = batch.values + (prediction.values - batch.values).clamp(-reach, reach)
            errors = torch.max(errors, (near - returns) ** 2)
        value_loss = 0.5 * batch.mean(errors)
        return LossResult(self.settings.vf_coef * value_loss, {"value_loss": value_loss.detach()})
