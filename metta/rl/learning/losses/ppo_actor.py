"""Clipped policy-gradient loss with an entropy bonus (Schulman et al. 2017)."""

import torch
from torch import Tensor

from metta.rl.learning.losses.base import LossResult, Minibatch, Prediction
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
        if self.settings.norm_adv and advantages.numel() > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        advantages = advantages * batch.weights
        ratio, clip = prediction.log_ratios.exp(), self.settings.clip_coef
        clipped = ratio.clamp(1 - clip, 1 + clip)
        policy_loss = torch.max(-advantages * ratio, -advantages * clipped).mean()
        entropy = prediction.entropy.mean()
        loss = policy_loss - self.settings.ent_coef * entropy
        metrics = {"policy_loss": policy_loss.detach(), "entropy": entropy.detach()}
        return LossResult(loss, {**metrics, **self._drift(batch, prediction.log_ratios.detach())})

    def _drift(self, batch: Minibatch, log_ratios: Tensor) -> dict[str, Tensor]:
        """How far the policy has moved from the one that played."""
        if batch.labels is not None:
            log_ratios = log_ratios[:, ~batch.labels.teacher_led_mask]
        if not log_ratios.numel():
            return {}
        ratio = log_ratios.exp()
        return {
            "approx_kl": (ratio - 1 - log_ratios).mean(),
            "clipfrac": ((ratio - 1).abs() > self.settings.clip_coef).float().mean(),
            "importance": ratio.mean(),
        }
