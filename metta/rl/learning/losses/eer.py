"""Expected entropy regularised distillation (Czarnecki et al. 2019): the teacher as reward and as target."""

import math

import torch
from torch import Tensor

from metta.rl.experience.labels import NO_LABEL, Lessons
from metta.rl.experience.teacher_settings import EerClonerSettings, EerSettings
from metta.rl.learning.losses.base import LossResult, Minibatch, Prediction
from metta.rl.learning.losses.supervision import labelled, masked_mean, slice_metrics

LEAST_LOG_PROB = -10.0  # an action that the teacher rules out costs no more than this


def teacher_log_probs(lessons: Lessons, actions: int, settings: EerSettings) -> Tensor:
    """The teacher's log-probabilities [time, segments, actions].

    One that only acts: 1 - epsilon for its action, the rest shared by the others.
    """
    if not isinstance(settings, EerClonerSettings):
        assert lessons.log_probs is not None
        return lessons.log_probs
    others = math.log(settings.epsilon / max(actions - 1, 1))
    chosen = lessons.labels.masked_fill(lessons.labels == NO_LABEL, 0).unsqueeze(-1)
    shape = (*lessons.labels.shape, actions)
    return torch.full(shape, others, device=chosen.device).scatter(-1, chosen, math.log(1 - settings.epsilon))


def teacher_rewards(lessons: Lessons, taken: Tensor, actions: int, settings: EerSettings) -> Tensor:
    """Rewards [time, segments] for the actions `taken`: r_lambda * log-probability under the teacher.

    0 where there is no label or no slice of the teacher's.
    """
    log_probs = teacher_log_probs(lessons, actions, settings).gather(-1, taken.unsqueeze(-1)).squeeze(-1)
    rewards = settings.r_lambda * lessons.strength * log_probs.clamp(min=LEAST_LOG_PROB)
    return rewards * labelled(lessons) * lessons.taught


class Eer:
    """action_loss_coef * mean cross-entropy of the student to the teacher; its rewards are added when collecting."""

    needs: tuple[str, ...] = ("lessons", "all_log_probs")
    sees = "teacher-led and student-led steps at which the teacher's action is one of the student's"

    def __init__(self, settings: EerSettings) -> None:
        self.settings = settings

    def prepare(self, batch: Minibatch, prediction: Prediction) -> Minibatch:
        return batch

    def __call__(self, batch: Minibatch, prediction: Prediction) -> LossResult:
        assert batch.lessons is not None
        teacher = teacher_log_probs(batch.lessons, prediction.all_log_probs.shape[-1], self.settings)
        losses = -(teacher.exp() * prediction.all_log_probs).sum(-1)
        agrees = prediction.all_log_probs.argmax(-1) == teacher.argmax(-1)
        mask = labelled(batch.lessons)
        loss = self.settings.action_loss_coef * batch.lessons.strength * masked_mean(losses, mask)
        return LossResult(loss, slice_metrics(batch.lessons, losses, agrees, mask))
