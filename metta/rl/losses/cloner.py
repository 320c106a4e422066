"""Cloning: the teacher's actions as labels."""

from metta.rl.lessons import NO_LABEL
from metta.rl.losses.base import LossResult, Minibatch, Prediction
from metta.rl.losses.supervision import labelled, masked_mean, slice_metrics
from metta.rl.teaching import ClonerSettings


class Cloner:
    """action_loss_coef * mean of -log pi(teacher's action), pi softened by the temperature."""

    needs: tuple[str, ...] = ("lessons", "all_log_probs")
    sees = "teacher-led and student-led steps at which the teacher's action is one of the student's"

    def __init__(self, settings: ClonerSettings) -> None:
        self.settings = settings

    def prepare(self, batch: Minibatch, prediction: Prediction) -> Minibatch:
        return batch

    def __call__(self, batch: Minibatch, prediction: Prediction) -> LossResult:
        assert batch.lessons is not None
        labels, mask = batch.lessons.labels, labelled(batch.lessons)
        chosen = labels.masked_fill(labels == NO_LABEL, 0).unsqueeze(-1)
        log_probs = prediction.all_log_probs
        if self.settings.temperature != 1:
            log_probs = (log_probs / batch.lessons.temperature).log_softmax(-1)
        losses = -log_probs.gather(-1, chosen).squeeze(-1)
        agrees = prediction.all_log_probs.argmax(-1) == labels
        loss = self.settings.action_loss_coef * batch.lessons.strength * masked_mean(losses, mask)
        return LossResult(loss, slice_metrics(batch.lessons, losses, agrees, mask))
