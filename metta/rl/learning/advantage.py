"""Advantages: generalised advantage estimation with V-trace's clipped importance ratios, as in PufferLib 3."""

import numpy as np
import torch
from numba import njit
from torch import Tensor

from metta.rl.learning.settings import AdvantageSettings


def compute_advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    dones: Tensor,
    ratios: Tensor,
    settings: AdvantageSettings,
    out: Tensor,
) -> Tensor:
    """Write the advantages of segments into `out` and return it; all [time, segments] float32, `dones` bool.

    rewards[t] and dones[t] are what action t brought: its reward, and whether it ended the episode. next_values
    [segments] is the value after the last step. With rho = min(ratio, vtrace_rho_clip) and c = min(ratio,
    vtrace_c_clip):
        delta[t] = rho[t] * (rewards[t] + gamma * values[t + 1] * (1 - dones[t]) - values[t])
        advantage[t] = delta[t] + gamma * gae_lambda * c[t] * (1 - dones[t]) * advantage[t + 1]
    """
    scalars = (settings.gamma, settings.gae_lambda, settings.vtrace_rho_clip, settings.vtrace_c_clip)
    tensors = (rewards, values, next_values, dones, ratios, out)
    if out.device.type == "cpu":
        _on_cpu(*(tensor.numpy() for tensor in tensors), *(np.float32(scalar) for scalar in scalars))
    else:
        _on_device(*tensors, *scalars)
    return out


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def _on_cpu(rewards, values, next_values, dones, ratios, out, gamma, gae_lambda, rho_clip, c_clip) -> None:
    time, segments = rewards.shape
    for t in range(time - 1, -1, -1):
        for s in range(segments):
            going_on = np.float32(0) if dones[t, s] else gamma
            next_value = next_values[s] if t == time - 1 else values[t + 1, s]
            later = np.float32(0) if t == time - 1 else out[t + 1, s]
            ratio = ratios[t, s]
            delta = min(ratio, rho_clip) * (rewards[t, s] + going_on * next_value - values[t, s])
            out[t, s] = delta + going_on * gae_lambda * min(ratio, c_clip) * later


def _on_device(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    dones: Tensor,
    ratios: Tensor,
    out: Tensor,
    gamma: float,
    gae_lambda: float,
    rho_clip: float,
    c_clip: float,
) -> None:
    going_on = gamma * (~dones).float()
    following = torch.cat([values[1:], next_values.unsqueeze(0)])
    deltas = ratios.clamp(max=rho_clip) * (rewards + going_on * following - values)
    out.copy_(sums_backwards(deltas, going_on * gae_lambda * ratios.clamp(max=c_clip)))


def sums_backwards(terms: Tensor, factors: Tensor) -> Tensor:
    """sums[t] = terms[t] + factors[t] * sums[t + 1], both [time, ...], the last sum being the last term.

    In log2(time) rounds, each of which doubles the span of every sum (Hillis and Steele 1986): on a device one small
    operation after another for each step would take longer than the numbers.
    """
    sums, span = terms, 1
    while span < len(terms):
        sums = torch.cat([torch.addcmul(sums[:-span], factors[:-span], sums[span:]), sums[-span:]])
        factors = torch.cat([factors[:-span] * factors[span:], factors[-span:]])
        span *= 2
    return sums
