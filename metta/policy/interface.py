"""What a policy is: anything that plays a batch of environments. No torch here: it is slow to import."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeGuard, runtime_checkable

import numpy as np

from metta.common.seeds import derive, each_seed
from metta.game.observation import EnvInfo

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SpaceInfo:
    """What a policy knows of an environment that is not the game's: its spaces.

    An action is one number. Of several components (MultiDiscrete) it is the index into their product, the last one
    varying fastest.
    """

    observation_shape: tuple[int, ...]
    observation_dtype: str  # uint8 or float32
    action_sizes: tuple[int, ...]  # choices of each component
    num_agents: int

    @property
    def action_names(self) -> tuple[str, ...]:
        return tuple("-".join(map(str, choice)) for choice in product(*map(range, self.action_sizes)))


Info = EnvInfo | SpaceInfo


@dataclass(frozen=True)
class NetHeads:
    """What the trainer asks of a net beside its own settings."""

    auxiliary: bool = False


class Policy(Protocol):
    """Plays a batch of environments, all agents at once."""

    name: str

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        """Forget everything and prepare for that many environments."""
        ...

    def step(self, observations: np.ndarray) -> np.ndarray:
        """Tokens uint8 [envs, agents, tokens, 3] -> flat action ids int32 [envs, agents]."""
        ...

    def end_episodes(self, ended: np.ndarray) -> None:
        """Forget the episode of each environment marked in bool [envs]: the next observation is of a new one."""
        ...


@runtime_checkable
class Separate(Protocol):
    """A policy that can play each environment as if it were alone."""

    def reset_each(self, num_agents: int, seeds: Sequence[int]) -> None:
        """Forget everything and prepare for an environment per seed. What its agents do then follows from its seed and
        what they observe, bit for bit, whatever is played beside it. One seed: as `reset` of one environment."""
        ...


def begin_episodes(policy: Policy, num_agents: int, seeds: Sequence[int]) -> None:
    """Let a policy begin an episode per seed, each as if it were alone.

    Raises TypeError for several where it plays them only as one batch (it is not `Separate`).
    """
    if isinstance(policy, Separate):
        policy.reset_each(num_agents, seeds)
    elif len(seeds) == 1:
        policy.reset(1, num_agents, seeds[0])
    else:
        raise TypeError(f"{policy.name} cannot play {len(seeds)} environments each by itself")


@runtime_checkable
class Divisible(Protocol):
    """A policy whose batch can be played in parts, by several processes, each as it is played in the whole."""

    def reset_part(self, part: slice, num_envs: int, num_agents: int, seed: int) -> None:
        """Forget everything and prepare for the environments `part` of so many, as `reset` does for all of them."""
        ...


def reset_part(policy: Policy, part: slice, num_envs: int, num_agents: int, seed: int) -> None:
    """Prepare a policy for the environments `part` of so many: where it can, it plays them as in a batch of all."""
    own = part.stop - part.start
    if isinstance(policy, Divisible):
        policy.reset_part(part, num_envs, num_agents, seed)
    elif own == num_envs:
        policy.reset(num_envs, num_agents, seed)
    elif isinstance(policy, Separate):
        policy.reset_each(num_agents, each_seed(seed, num_envs)[part])
    else:
        policy.reset(own, num_agents, derive(seed, part.start))


@runtime_checkable
class Resumable(Protocol):
    """A policy whose memory can be saved, so that a resumed run goes on with it bit for bit."""

    def state_dict(self) -> dict[str, np.ndarray]:
        """All that the next steps depend on beside the observations, as copies."""
        ...

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `state_dict`, after a `reset` with the same numbers."""
        ...


class Advice(NamedTuple):
    """What a policy does, and what it made of the observations: log-probabilities [envs x agents, actions] and values
    [envs x agents], on its device."""

    actions: np.ndarray  # int32 [envs, agents]
    log_probs: "Tensor"
    values: "Tensor"


@runtime_checkable
class Adviser(Protocol):
    """A policy that can tell its distribution."""

    def advise(self, observations: np.ndarray) -> Advice:
        """As `Policy.step`, with all that it knows."""
        ...


class Telling(Protocol):
    """A policy that tells, after a step, what each agent is about; viewers and checks read it."""

    role_names: tuple[str, ...]
    task_names: tuple[str, ...]

    @property
    def roles(self) -> np.ndarray:
        """Role of each agent, int32 [envs, agents]: index into `role_names`."""
        ...

    @property
    def tasks(self) -> np.ndarray:
        """Task of each agent, int32 [envs, agents]: index into `task_names`."""
        ...

    @property
    def targets(self) -> np.ndarray:
        """Row and column of what it aims at, from the team's hub, int32 [envs, agents, 2]."""
        ...


def tells(policy: object) -> TypeGuard[Telling]:
    """Is that a policy whose class publishes roles, tasks and targets? Evaluates none of them."""
    return all(hasattr(type(policy), name) for name in ("roles", "tasks", "targets", "role_names", "task_names"))
