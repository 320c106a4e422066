"""Clipped policy-gradient loss with an entropy bonus (Schulman et al. 2017)."""

import torch
from torch import Tensor

from metta.rl.learning.losses.base import LossResult, Minibatch, Prediction, mean_part
from metta.rl.learning.settings import PpoActorSettings


class PpoActor:
    """Mean over steps of -min(ratio * A, clip(ratio) * A) - ent_coef * entropy.

    A is the advantage, normalised over what is seen of the minibatch if asked, times the segment's sampling weight.
    """

    def __init__(self, settings: PpoActorSettings) -> None:
        self.settings = settings

    def prepare(self, batch: Minibatch, prediction: Prediction) -> Minibatch:
        return batch

    def __call__(self, batch: Minibatch, prediction: Prediction) -> LossResult:
        advantages = batch.advantages
        if self.settings.norm_adv and advantages.shape[0] * (batch.total or advantages.shape[1]) > 1:
            found = batch.moments(advantages)
            advantages = (advantages - found.mean.float()) / (found.deviation.float() + 1e-8)
        advantages = advantages * batch.weights
        ratio, clip = prediction.log_ratios.exp(), self.settings.clip_coef
        clipped = ratio.clamp(1 - clip, 1 + clip)
        policy_loss = batch.mean(torch.max(-advantages * ratio, -advantages * clipped))
        entropy = batch.mean(prediction.entropy)
        loss = policy_loss - self.settings.ent_coef * entropy
        metrics = {"policy_loss": policy_loss.detach(), "entropy": entropy.detach()}
        return LossResult(loss, {**metrics, **self._drift(batch, prediction.log_ratios.detach())})

    def _drift(self, batch: Minibatch, log_ratios: Tensor) -> dict[str, Tensor]:
        """How far the policy has moved from the one that played."""
        total = batch.total or log_ratios.shape[1]
        if batch.labels is not None:
            own = ~batch.labels.teacher_led_mask
            log_ratios, total = log_ratios[:, own], batch.count(own)
        if not total:
            return {}
        ratio = log_ratios.exp()
        return {
            "approx_kl": mean_part(ratio - 1 - log_ratios, total),
            "clipfrac": mean_part(((ratio - 1).abs() > self.settings.clip_coef).float(), total),
            "importance": mean_part(ratio, total),
        }
