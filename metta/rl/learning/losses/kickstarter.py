"""Kickstarting (Schmitt et al. 2018): a neural teacher's distribution and values as targets."""

import torch

from metta.rl.experience.teacher_settings import KickstarterSettings
from metta.rl.learning.losses.base import LossResult, Minibatch, Prediction
from metta.rl.learning.losses.supervision import slice_metrics


class Kickstarter:
    """action_loss_coef * T^2 * mean KL(teacher || student), both softened by temperature T (Hinton et al. 2015),
    plus value_loss_coef * mean squared error of the values to the teacher's."""

    needs: tuple[str, ...] = ("lessons", "all_log_probs", "values")
    sees = "teacher-led and student-led steps"

    def __init__(self, settings: KickstarterSettings) -> None:
        self.settings = settings

    def prepare(self, batch: Minibatch, prediction: Prediction) -> Minibatch:
        return batch

    def __call__(self, batch: Minibatch, prediction: Prediction) -> LossResult:
        lessons, settings = batch.lessons, self.settings
        assert lessons is not None and lessons.log_probs is not None and lessons.values is not None
        teacher = (lessons.log_probs / settings.temperature).log_softmax(-1)
        student = (prediction.all_log_probs / settings.temperature).log_softmax(-1)
        divergences = settings.temperature**2 * (teacher.exp() * (teacher - student)).sum(-1)
        value_loss = ((prediction.values - lessons.values) ** 2).mean()
        loss = settings.action_loss_coef * divergences.mean() + settings.value_loss_coef * value_loss
        agrees = prediction.all_log_probs.argmax(-1) == lessons.log_probs.argmax(-1)
        everywhere = torch.ones_like(agrees)
        metrics = slice_metrics(lessons, divergences, agrees, everywhere)
        return LossResult(lessons.strength * loss, {**metrics, "supervised_value_loss": value_loss.detach()})
