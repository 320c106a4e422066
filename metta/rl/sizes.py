"""How a batch divides into environments, rounds, segments and minibatches."""

from dataclasses import dataclass

from metta.common.errors import UserError
from metta.rl.learning.settings import TrainerSettings

MOST_ENVS = 1024  # by default; more only cost memory


@dataclass(frozen=True)
class BatchShape:
    """Sizes of one epoch; `segments` = envs x agents x rounds. Unless named `own` they are those of all processes."""

    envs: int
    agents: int
    rounds: int
    horizon: int
    minibatch_segments: int
    minibatches: int
    ranks: int = 1  # processes, which divide the environments evenly

    @property
    def own_envs(self) -> int:
        return self.envs // self.ranks

    @property
    def own_segments(self) -> int:
        return self.segments // self.ranks

    @property
    def segments(self) -> int:
        return self.envs * self.agents * self.rounds

    @property
    def agent_steps(self) -> int:
        return self.segments * self.horizon


def batch_shape(settings: TrainerSettings, agents: int, envs: int | None, ranks: int = 1) -> BatchShape:
    """Divide a batch among `agents` agents per environment, and the environments among `ranks` processes.

    Raise UserError naming the nearest sizes that divide.
    """
    batch, horizon = settings.batch_size, settings.bptt_horizon
    if envs and envs % ranks:
        raise UserError(
            f"training_env.num_envs={envs} cannot be shared evenly by {ranks} processes; {_nearest(envs, ranks)}",
            ("training_env.num_envs",),
        )
    unit = agents * horizon * (envs or ranks)
    if batch % unit:
        what = f"{agents} agents x {horizon} steps (trainer.bptt_horizon)"
        if envs:
            what += f" x {envs} environments (training_env.num_envs)"
        elif ranks > 1:
            what += f" x {ranks} processes"
        raise UserError(
            f"trainer.batch_size={batch} is no multiple of {what} = {unit}; {_nearest(batch, unit)}",
            ("trainer.batch_size", "trainer.bptt_horizon", "training_env.num_envs", "mission.cogs"),
        )
    columns = batch // (agents * horizon)
    envs = envs or ranks * _largest_divisor(columns // ranks, max(1, MOST_ENVS // ranks))
    minibatch = min(settings.minibatch_size, batch)
    if minibatch % horizon or batch % minibatch:
        sizes = [part * horizon for part in _divisors(batch // horizon)]
        below = max((size for size in sizes if size <= minibatch), default=sizes[0])
        above = min((size for size in sizes if size >= minibatch), default=sizes[-1])
        nearest = " or ".join(str(size) for size in sorted({below, above}))
        raise UserError(
            f"trainer.minibatch_size={minibatch} must divide trainer.batch_size={batch} into whole segments of "
            f"{horizon} steps (trainer.bptt_horizon); nearest: {nearest}",
            ("trainer.minibatch_size", "trainer.batch_size", "trainer.bptt_horizon"),
        )
    return BatchShape(
        envs=envs,
        agents=agents,
        rounds=columns // envs,
        horizon=horizon,
        minibatch_segments=minibatch // horizon,
        minibatches=settings.update_epochs * (batch // minibatch),
        ranks=ranks,
    )


def _nearest(size: int, unit: int) -> str:
    below, above = size // unit * unit, (size // unit + 1) * unit
    return f"nearest: {below} or {above}" if below else f"the smallest is {above}"


def _divisors(number: int) -> list[int]:
    return [part for part in range(1, number + 1) if number % part == 0]


def _largest_divisor(number: int, limit: int) -> int:
    return max(part for part in range(1, min(number, limit) + 1) if number % part == 0)
