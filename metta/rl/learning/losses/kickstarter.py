"""Kickstarting (Schmitt et al. 2018): a neural teacher's distribution and values as targets."""

import torch

from metta.rl.experience.teacher_settings import KickstarterSettings
from metta.rl.learning.losses.base import LossResult, Minibatch, Prediction
from metta.rl.learning.losses.supervision import slice_metrics


class Kickstarter:
    """action_loss_coef * T^2 * mean KL(teacher || student), both softened by temperature T (Hinton et al. 2015),
    plus value_loss_coef * mean squared error of the values to the teacher's."""

    def __init__(self, settings: KickstarterSettings) -> None:
        self.settings = settings

    def prepare(self, batch: Minibatch, prediction: Prediction) -> Minibatch:
        return batch

    def __call__(self, batch: Minibatch, prediction: Prediction) -> LossResult:
        labels, settings = batch.labels, self.settings
        assert labels is not None and labels.log_probs is not None and labels.values is not None
        teacher = (labels.log_probs / settings.temperature).log_softmax(-1)
        student = (prediction.all_log_probs / settings.temperature).log_softmax(-1)
        divergences = settings.temperature**2 * (teacher.exp() * (teacher - student)).sum(-1)
        value_loss = batch.mean((prediction.values - labels.values) ** 2)
        loss = settings.action_loss_coef * batch.mean(divergences) + settings.value_loss_coef * value_loss
        agrees = prediction.all_log_probs.argmax(-1) == labels.log_probs.argmax(-1)
        metrics = slice_metrics(batch, divergences, agrees, torch.ones_like(agrees))
        return LossResult(labels.strength * loss, {**metrics, "supervised_value_loss": value_loss.detach()})
