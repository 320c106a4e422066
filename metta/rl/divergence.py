"""Numbers that are no longer finite: which, where they first came up, and what may help."""

import math

import torch
from torch import Tensor

from metta.common.errors import UserError
from metta.rl.rollout import Experience
from metta.rl.sizes import BatchShape

SMALLER_STEPS = "a smaller trainer.optimizer.learning_rate may help"
LARGE_REWARD = 1e9  # by size, beyond any that is learned from
ADVICE = {
    "observations": "the environment gave it",
    "values": f"what was observed there is not finite, or {SMALLER_STEPS}",
    "log_probs": SMALLER_STEPS,
    "rewards": "the environment gave it, as a reward or as the last observation of an episode that was cut short",
}


class DivergedError(UserError):
    """A number of the experience, a loss, a gradient or a weight is not finite. `advice` is what may help."""

    def __init__(self, message: str, advice: str = SMALLER_STEPS) -> None:
        super().__init__(message)
        self.advice = advice


def check_experience(experience: Experience, shape: BatchShape, num_agents: int) -> None:
    """Raise DivergedError with metric and place of the first number, in the order of time, that is not finite.

    `num_agents` are those of an environment, learning or not.
    """
    values = torch.cat([experience.values, experience.next_values.unsqueeze(0)])
    parts = {  # in the order in which a step has them; whole numbers are finite
        name: part
        for name, part in (
            ("observations", experience.observations),
            ("values", values),
            ("log_probs", experience.log_probs),
            ("rewards", experience.rewards),
        )
        if part.is_floating_point()
    }
    if bool(torch.stack([torch.isfinite(part).all() for part in parts.values()]).all()):
        return
    found = []
    for order, (name, part) in enumerate(parts.items()):
        numbers = part.flatten(2) if part.dim() > 2 else part.unsqueeze(-1)  # [time, segments, numbers]
        bad = (~torch.isfinite(numbers)).any(-1).nonzero()
        if len(bad):
            steps = bad[:, 0] + bad[:, 1] // (shape.envs * shape.agents) * shape.horizon
            time, segment = bad[steps.argmin()].tolist()
            value = next(number for number in numbers[time, segment].tolist() if not math.isfinite(number))
            found.append((int(steps.min()), order, name, value, place(time, segment, shape, num_agents)))
    _, _, name, value, where = min(found)
    raise DivergedError(f"experience/{name} is {value} ({where})", ADVICE[name])


def check_advantages(advantages: Tensor, shape: BatchShape, num_agents: int) -> None:
    """Raise DivergedError with the place of the largest of advantages [time, segments] whose sum is not finite."""
    sizes = advantages.abs()
    if bool(torch.isfinite(sizes.sum())):
        return
    time, segment = divmod(int(sizes.argmax()), sizes.shape[1])  # a NaN counts as the largest
    value = float(advantages[time, segment])
    where = place(time, segment, shape, num_agents)
    raise DivergedError(f"experience/advantages is {value} ({where})", f"rewards are too large, or {SMALLER_STEPS}")


def place(time: int, segment: int, shape: BatchShape, num_agents: int) -> str:
    """Which environment, agent and step of a batch it was; steps count from 1, the others from 0."""
    turn, row = divmod(segment, shape.envs * shape.agents)
    env, agent = divmod(row, shape.agents)
    who = "agent" if shape.agents == num_agents else "learning agent"
    step, last = turn * shape.horizon + time + 1, shape.rounds * shape.horizon
    when = f"step {step} of {last} in the batch" if step <= last else f"after step {last}, the batch's last"
    return f"environment {env}, {who} {agent}, {when}"


def check_finite(metrics: dict[str, Tensor]) -> None:
    """Raise DivergedError naming those that are not finite."""
    bad = {name: float(value) for name, value in metrics.items() if not bool(torch.isfinite(value))}
    if bad:
        raise DivergedError(", ".join(f"losses/{name} is {value}" for name, value in bad.items()))
