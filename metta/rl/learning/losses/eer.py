"""Expected entropy regularised distillation (Czarnecki et al. 2019): the teacher as reward and as target."""

import math

import torch
from torch import Tensor

from metta.rl.experience.labels import NO_LABEL, Labels
from metta.rl.experience.teacher_settings import EerClonerSettings, EerSettings
from metta.rl.learning.losses.base import LossResult, Minibatch, Prediction
from metta.rl.learning.losses.supervision import labelled, masked_mean, slice_metrics

LEAST_LOG_PROB = -10.0  # an action that the teacher rules out costs no more than this


def teacher_log_probs(labels: Labels, actions: int, settings: EerSettings) -> Tensor:
    """The teacher's log-probabilities [time, segments, actions].

    One that only acts: 1 - epsilon for its action, the rest shared by the others.
    """
    if not isinstance(settings, EerClonerSettings):
        assert labels.log_probs is not None
        return labels.log_probs
    others = math.log(settings.epsilon / max(actions - 1, 1))
    chosen = labels.actions.masked_fill(labels.actions == NO_LABEL, 0).unsqueeze(-1)
    shape = (*labels.actions.shape, actions)
    return torch.full(shape, others, device=chosen.device).scatter(-1, chosen, math.log(1 - settings.epsilon))


def teacher_rewards(labels: Labels, taken: Tensor, actions: int, settings: EerSettings) -> Tensor:
    """Rewards [time, segments] for the actions `taken`: r_lambda * log-probability under the teacher.

    0 where there is no label or no slice of the teacher's.
    """
    log_probs = teacher_log_probs(labels, actions, settings).gather(-1, taken.unsqueeze(-1)).squeeze(-1)
    rewards = settings.r_lambda * labels.strength * log_probs.clamp(min=LEAST_LOG_PROB)
    return rewards * labelled(labels) * labels.distill_mask


class Eer:
    """action_loss_coef * mean cross-entropy of the student to the teacher; its rewards are added when collecting."""

    def __init__(self, settings: EerSettings) -> None:
        self.settings = settings

    def prepare(self, batch: Minibatch, prediction: Prediction) -> Minibatch:
        return batch

    def __call__(self, batch: Minibatch, prediction: Prediction) -> LossResult:
        assert batch.labels is not None
        teacher = teacher_log_probs(batch.labels, prediction.all_log_probs.shape[-1], self.settings)
        losses = -(teacher.exp() * prediction.all_log_probs).sum(-1)
        agrees = prediction.all_log_probs.argmax(-1) == teacher.argmax(-1)
        mask = labelled(batch.labels)
        loss = self.settings.action_loss_coef * batch.labels.strength * masked_mean(batch, losses, mask)
        return LossResult(loss, slice_metrics(batch, losses, agrees, mask))
