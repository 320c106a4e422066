"""Value loss by gradient TD(lambda) with a learned correction (Patterson et al. 2022; Elelimy et al. 2025).

Semi-gradient TD drops the gradient of the target and can diverge off policy. Here the whole gradient is kept and a
second head h estimates the expected TD(lambda) error, which corrects its bias.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from metta.rl.learning.advantage import sums_backwards
from metta.rl.learning.losses.base import LossResult, Minibatch, Prediction
from metta.rl.learning.settings import AdvantageSettings, PpoCriticSettings


def lambda_errors(
    batch: Minibatch, values: Tensor, settings: AdvantageSettings, ratios: Tensor | None = None
) -> Tensor:
    """Sums over k of (gamma * lambda)^k times the TD errors of `values` [time, segments], cut where episodes end.

    [time - 1, segments]: the last step of a segment has no target. Gradients flow through all values. With importance
    `ratios` [time, segments] each error counts times the product of the ratios from the first step to its own.
    """
    going_on = settings.gamma * (~batch.dones[:-1]).float()
    errors = batch.rewards[:-1] + going_on * values[1:] - values[:-1]
    carried = settings.gae_lambda * going_on
    if ratios is not None:
        errors, carried = ratios[:-1] * errors, ratios[:-1] * carried
    if errors.device.type != "cpu":
        return sums_backwards(errors, carried)
    sums = [errors[-1]]
    for error, share in zip(errors[:-1].flip(0), carried[:-1].flip(0), strict=True):
        sums.append(error + share * sums[-1])
    return torch.stack(sums[::-1])


class GtdCritic:
    """vf_coef * (mean(h * error) - mean((error - h) * value)) + aux_coef * (half the squared error of h to the error,
    plus beta / 2 times the mean square of the head's weights); what multiplies a gradient carries none itself."""

    def __init__(
        self,
        settings: PpoCriticSettings,
        advantage: AdvantageSettings,
        head: Callable[[], Iterable[nn.Parameter]],
    ) -> None:
        self.settings, self.advantage, self._head = settings, advantage, head

    def prepare(self, batch: Minibatch, prediction: Prediction) -> Minibatch:
        """The actor's advantages are the errors under the present values; 0 at last steps."""
        ratios = self._ratios(batch, prediction)
        errors = lambda_errors(batch, prediction.values.detach(), self.advantage, ratios)
        return replace(batch, advantages=nn.functional.pad(errors, (0, 0, 0, 1)))

    def __call__(self, batch: Minibatch, prediction: Prediction) -> LossResult:
        assert prediction.auxiliary is not None
        errors = lambda_errors(batch, prediction.values, self.advantage, self._ratios(batch, prediction))
        values, correction = prediction.values[:-1], prediction.auxiliary[:-1]
        fixed_error, fixed_correction = errors.detach(), correction.detach()
        critic = batch.mean(fixed_correction * errors) - batch.mean((fixed_error - fixed_correction) * values)
        squared = batch.mean((correction - fixed_error) ** 2)
        weights = torch.cat([parameter.flatten() for parameter in self._head()])
        auxiliary = 0.5 * squared + 0.5 * self.settings.beta * batch.share((weights**2).mean())
        metrics = {
            "gtd_critic_loss": critic.detach(),
            "gtd_aux_loss": auxiliary.detach(),
            "gtd_h_mse": squared.detach(),
            "gtd_delta_lambda_abs": batch.mean(fixed_error.abs()),
        }
        return LossResult(self.settings.vf_coef * critic + self.settings.aux_coef * auxiliary, metrics)

    def _ratios(self, batch: Minibatch, prediction: Prediction) -> Tensor | None:
        """Where a teacher led, the student's probability of its actions (the teacher's own counts as 1), clipped."""
        if batch.labels is None:
            return None
        ratios = prediction.log_ratios.detach().exp().clamp(max=self.settings.teacher_offpolicy_rho_clip)
        return torch.where(batch.labels.teacher_led_mask, ratios, 1.0)
