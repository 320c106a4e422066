"""Numbers that are no longer finite: which, where they first came up, and what may help."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from metta.common.commands import DIVERGED
from metta.common.errors import UserError
from metta.common.logging import warn
from metta.rl.experience.rollout import Experience
from metta.rl.sizes import BatchShape
from metta.rl.world import ALONE, World

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

    exit_code = DIVERGED
    shared = True  # processes look at sums over all

    def __init__(self, message: str, advice: str = SMALLER_STEPS) -> None:
        super().__init__(message)
        self.advice = advice

    @property
    def by_learning(self) -> bool:
        """Whether it may go better with smaller steps."""
        return SMALLER_STEPS in self.advice


Numbers = dict[str, Tensor]  # scalars by name
Explain = Callable[[dict[str, float]], DivergedError]


class Checks:
    """Checks whose outcome is read at once: the first that fails raises DivergedError."""

    @property
    def failed(self) -> Tensor | None:
        """Whether one has failed that is not read yet, float [] of 0 or 1; None where all are read at once."""
        return None

    def __call__(self, name: str, passed: Tensor, numbers: Callable[[], Numbers], explain: Explain) -> None:
        """Check that `passed`, bool []; `explain` makes an error of the `numbers` of a check that failed."""
        if not bool(passed):
            raise explain({name: float(number) for name, number in numbers().items()})

    def read(self) -> None:
        """Raise the DivergedError of the first check that has failed since the last call, if any has."""

    def guard(self, optimizer: torch.optim.Optimizer) -> None:
        """Let the optimiser change nothing more once a check has failed."""


AT_ONCE = Checks()


class LaterChecks(Checks):
    """Checks on a device that is not waited for: the numbers of the first that fails stay there until they are read."""

    def __init__(self, device: torch.device) -> None:
        self._failed = torch.zeros((), device=device)
        self._which = torch.zeros((), dtype=torch.int64, device=device)  # of the checks below failed first
        self._kept: dict[tuple[str, ...], tuple[Tensor, Explain]] = {}  # numbers of each check if it failed first

    def __call__(self, name: str, passed: Tensor, numbers: Callable[[], Numbers], explain: Explain) -> None:
        found = numbers()
        present, key = torch.stack([number.detach() for number in found.values()]), (name, *found)
        kept, _ = self._kept.setdefault(key, (present.clone(), explain))
        first = ~passed & (self._failed == 0)
        kept.copy_(torch.where(first, present, kept))
        self._which.masked_fill_(first, list(self._kept).index(key))
        self._failed.masked_fill_(first, 1)

    @property
    def failed(self) -> Tensor:
        return self._failed

    def guard(self, optimizer: torch.optim.Optimizer) -> None:
        optimizer.found_inf = self._failed  # pyright: ignore[reportAttributeAccessIssue] # as torch.amp.GradScaler does

    def read(self) -> None:
        if not bool(self._failed):
            return
        self._failed.zero_()
        if not self._kept:  # it was on another process
            return
        (_, *names), (kept, explain) = list(self._kept.items())[int(self._which)]
        raise explain(dict(zip(names, kept.tolist(), strict=True)))


class Skips:
    """Steps that are left out because a number was not finite."""

    def __init__(self, most: int) -> None:
        """`most` in a row; one more is a divergence."""
        self._most, self._in_a_row = most, list[DivergedError]()
        self.counted = 0

    def passed(self) -> None:
        """A step was taken."""
        self._in_a_row.clear()

    def skip(self, error: DivergedError) -> None:
        """Leave out a step. Raise the first error of a row that is too long."""
        self._in_a_row.append(error)
        if len(self._in_a_row) > self._most:
            raise self._in_a_row[0]
        if len(self._in_a_row) == 1:
            warn(f"{error}: the step is left out")
        self.counted += 1


def together(world: World, check: Callable[[], None]) -> None:
    """Do a check on all processes; where it fails on any, all raise the DivergedError of the first."""
    found = None
    try:
        check()
    except DivergedError as error:
        if world.size == 1:
            raise
        found = str(error), error.advice
    for failure in world.gather_objects(found) if world.size > 1 else ():
        if failure:
            raise DivergedError(*failure)


def check_experience(experience: Experience, shape: BatchShape, num_agents: int, world: World = ALONE) -> None:
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
            steps = bad[:, 0] + bad[:, 1] // (shape.envs * shape.agents // world.size) * shape.horizon
            time, segment = bad[steps.argmin()].tolist()
            value = next(number for number in numbers[time, segment].tolist() if not math.isfinite(number))
            found.append((int(steps.min()), order, name, value, place(time, segment, shape, num_agents, world)))
    _, _, name, value, where = min(found)
    raise DivergedError(f"experience/{name} is {value} ({where})", ADVICE[name])


def check_advantages(
    advantages: Tensor, shape: BatchShape, num_agents: int, checks: Checks = AT_ONCE, world: World = ALONE
) -> None:
    """Check that the sum of advantages [time, segments] is finite; where it is not, the largest is named."""

    def largest() -> Numbers:
        at = advantages.abs().argmax()  # a NaN counts as the largest
        return {"at": at.double(), "value": advantages.take(at).double()}

    def error(numbers: dict[str, float]) -> DivergedError:
        time, segment = divmod(int(numbers["at"]), advantages.shape[1])
        where = place(time, segment, shape, num_agents, world)
        problem = f"experience/advantages is {numbers['value']} ({where})"
        return DivergedError(problem, f"rewards are too large, or {SMALLER_STEPS}")

    checks("advantages", torch.isfinite(advantages.abs().sum()), largest, error)


def place(time: int, segment: int, shape: BatchShape, num_agents: int, world: World = ALONE) -> str:
    """Which environment, agent and step of a batch it was, given one of the own segments; steps count from 1, the
    others from 0."""
    mine = world.own(shape.envs * shape.agents)
    turn, row = divmod(segment, mine.stop - mine.start)
    env, agent = divmod(mine.start + row, shape.agents)
    who = "agent" if shape.agents == num_agents else "learning agent"
    step, last = turn * shape.horizon + time + 1, shape.rounds * shape.horizon
    when = f"step {step} of {last} in the batch" if step <= last else f"after step {last}, the batch's last"
    return f"environment {env}, {who} {agent}, {when}"


def check_finite(name: str, value: Tensor, parts: Numbers, checks: Checks = AT_ONCE) -> None:
    """Check that a number is finite; where it is not, it is named with those of its `parts` that are not either."""

    def error(numbers: dict[str, float]) -> DivergedError:
        bad = {name: number for name, number in numbers.items() if not math.isfinite(number)}
        return DivergedError(", ".join(f"losses/{name} is {number}" for name, number in bad.items()))

    checks(name, torch.isfinite(value), lambda: {**parts, name: value}, error)
