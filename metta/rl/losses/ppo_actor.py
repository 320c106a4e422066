"""Clipped policy-gradient loss with an entropy bonus (Schulman et al. 2017)."""

import torch

from metta.rl.losses.base import LossResult, Minibatch, Prediction
from metta.rl.settings import PpoActorSettings


class PpoActor:
    """Mean over steps of -min(ratio * A, clip(ratio) * A) - ent_coef * entropy.

    A is the advantage, normalised over the minibatch if asked, times the segment's sampling weight.
    """

    needs: tuple[str, ...] = ("advantages", "weights", "log_ratios", "entropy")
    sees = "every transition of the minibatch"

    def __init__(self, settings: PpoActorSettings) -> None:
        self.settings = settings

    def prepare(self, batch: Minibatch, prediction: Prediction) -> Minibatch:
        return batch

    def __call__(self, batch: Minibatch, prediction: Prediction) -> LossResult:
        advantages = batch.advantages
        if self.settings.norm_adv:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        advantages = advantages * batch.weights
        ratio, clip = prediction.log_ratios.exp(), self.settings.clip_coef
        clipped = ratio.clamp(1 - clip, 1 + clip)
        policy_loss = torch.max(-advantages * ratio, -advantages * clipped).mean()
        entropy = prediction.entropy.mean()
        loss = policy_loss - self.settings.ent_coef * entropy
        with torch.no_grad():
            metrics = {
                "policy_loss": policy_loss.detach(),
                "entropy": entropy.detach(),
                "approx_kl": (ratio - 1 - prediction.log_ratios).mean(),
                "clipfrac": ((ratio - 1).abs() > clip).float().mean(),
                "importance": ratio.mean(),
            }
        return LossResult(loss, metrics)
