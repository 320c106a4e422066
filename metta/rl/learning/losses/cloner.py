"""Cloning: the teacher's actions as labels."""

from metta.rl.experience.labels import NO_LABEL
from metta.rl.experience.teacher_settings import ClonerSettings
from metta.rl.learning.losses.base import LossResult, Minibatch, Prediction
from metta.rl.learning.losses.supervision import labelled, masked_mean, slice_metrics


class Cloner:
    """action_loss_coef * mean of -log pi(teacher's action), pi softened by the temperature."""

    def __init__(self, settings: ClonerSettings) -> None:
        self.settings = settings

    def prepare(self, batch: Minibatch, prediction: Prediction) -> Minibatch:
        return batch

    def __call__(self, batch: Minibatch, prediction: Prediction) -> LossResult:
        assert batch.labels is not None
        labels, mask = batch.labels.actions, labelled(batch.labels)
        chosen = labels.masked_fill(labels == NO_LABEL, 0).unsqueeze(-1)
        log_probs, temperature = prediction.all_log_probs, self.settings.temperature
        if temperature != 1:
            log_probs = (log_probs / temperature).log_softmax(-1)
        losses = -log_probs.gather(-1, chosen).squeeze(-1)
        agrees = prediction.all_log_probs.argmax(-1) == labels
        loss = self.settings.action_loss_coef * batch.labels.strength * masked_mean(batch, losses, mask)
        return LossResult(loss, slice_metrics(batch, losses, agrees, mask))
