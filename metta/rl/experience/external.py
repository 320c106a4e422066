"""Environments of Gymnasium and PettingZoo, run by PufferLib's emulation behind the interface of ours."""

import math
import time
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from metta.common.errors import MissingExtraError, UserError
from metta.common.seeds import derive
from metta.game.engine.batch import Episode
from metta.policy.interface import SpaceInfo
from metta.rl.experience.settings import EnvSettings
from metta.rl.world import ALONE, World

try:
    import gymnasium
    from gymnasium import spaces
    from pufferlib import emulation, vector
    from pufferlib.pufferlib import PettingZooWrapper
except ImportError as error:
    raise MissingExtraError("pufferlib", "puffer") from error

MOST_ACTIONS = 4096  # combinations of the components of an action
SEEDS = 2**31  # most that libraries take
LAST = "last observations"
APART = 2**20  # more than there are environments
Stream = tuple[int, int]  # a seed, and the number of an environment among those that have it


class Foreign:
    """What `env` names: one environment is made to see its spaces, then as many as asked for."""

    always: tuple[str, ...] = ()

    def __init__(self, settings: EnvSettings, workers: int | None) -> None:
        """`workers` processes share the environments; None or 1 steps them in this one.

        Raises UserError when there is no such environment, or its spaces are beyond the trainer.
        """
        self._settings, self._workers = settings, workers
        self.name = self.label = str(settings.name)
        env = _emulated(settings, 0, (0, 0))
        self.info = _space_info(self.label, env)
        env.close()

    @property
    def whole_info(self) -> SpaceInfo:
        return self.info

    @property
    def fingerprint(self) -> dict[str, object]:
        return {"env": self._settings.model_dump(mode="json")}

    def build(self, num_envs: int, seed: int, world: World = ALONE) -> "EmulatedBatch":
        stream, own = derive(seed, "environments"), world.own(num_envs)
        streams = [(stream, number) for number in range(own.start, own.stop)]
        return EmulatedBatch(self._settings, self.info, streams, self._workers or 1, own.start)

    def build_each(self, seeds: Sequence[int]) -> "EmulatedBatch":
        """An environment per seed, each as the only one that `build` makes of it."""
        streams = [(derive(seed, "environments"), 0) for seed in seeds]
        return EmulatedBatch(self._settings, self.info, streams, self._workers or 1)

    def attributes(self, env: object) -> dict[str, float]:
        return {"agents": self.info.num_agents}

    def is_whole(self, episode: Episode) -> bool:
        return True


class EmulatedBatch:
    """Environments of another library, as `metta.rl.experience.environments.Environments` has it.

    Their state cannot be saved: a resumed run begins new episodes. An agent that leaves before its episode ends sees
    zeros from then on.
    """

    device = "cpu"
    resumes = False

    def __init__(
        self, settings: EnvSettings, info: SpaceInfo, streams: Sequence[Stream], workers: int, first: int = 0
    ) -> None:
        """An environment for each of `streams`, from which its seeds come; `first` is the number of the first."""
        num_envs = len(streams)
        self.info, self.num_envs, self.num_agents = info, num_envs, info.num_agents
        self._settings, self._starts, self._first = settings, 0, first
        self._vector = _vector(settings, streams, workers)
        self._returns = np.zeros((num_envs, info.num_agents), np.float32)
        self._steps = np.zeros(num_envs, np.int64)
        self._numbers = np.zeros(num_envs, np.int64)
        self._episodes: list[Episode] = []
        self._cut: tuple[np.ndarray, np.ndarray] | None = None

    def reset(self, observations: np.ndarray) -> None:
        """Start an episode everywhere: other ones at every call, the same in every run of that seed."""
        self._starts += 1
        self._returns[:], self._steps[:], self._numbers[:] = 0, 0, 0
        self._episodes.clear()
        self._vector.async_reset(self._starts * APART)
        observations[:] = self._receive()[0].reshape(observations.shape)

    @np.errstate(over="ignore")  # infinite then, of which the trainer tells
    def step(
        self,
        actions: np.ndarray,
        observations: np.ndarray,
        rewards: np.ndarray,
        terminals: np.ndarray,
        truncations: np.ndarray,
    ) -> None:
        """Let every agent act once. Raises UserError when an environment fails."""
        sizes, flat = self.info.action_sizes, actions.reshape(-1)
        joint = flat if len(sizes) == 1 else np.stack(np.unravel_index(flat, sizes), -1).astype(np.int32)
        self._vector.send(joint)
        *parts, infos = self._receive()
        for target, part in zip((observations, rewards, terminals, truncations), parts, strict=True):
            target[:] = part.reshape(target.shape)
        self._cut = self._cut_short(infos, truncations & ~terminals)
        self._returns += rewards
        self._steps += 1
        for env in np.flatnonzero((terminals | truncations).all(-1)):
            played, number, steps = self._first + int(env), int(self._numbers[env]), int(self._steps[env])
            self._episodes.append(Episode(played, number, 0, steps, self._returns[env].copy(), {}, {}, {}))
            self._returns[env], self._steps[env] = 0, 0
            self._numbers[env] += 1

    def _cut_short(self, infos: list[dict[str, Any]], cut: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Indices and last observations of the agents marked in `cut`, bool [E, A], that `infos` hold."""
        ended = [info for info in infos if LAST in info and cut[info["number"]].any()]
        if not ended:
            return None
        indices = [np.flatnonzero(cut[info["number"]]) for info in ended]
        agents = [info["number"] * self.num_agents + of_env for info, of_env in zip(ended, indices, strict=True)]
        last = [info[LAST][of_env] for info, of_env in zip(ended, indices, strict=True)]
        return np.concatenate(agents), np.concatenate(last).astype(self.info.observation_dtype)

    def _receive(self) -> tuple[Any, ...]:
        """Observations, rewards, terminals, truncations and infos, once every process has delivered."""
        if isinstance(self._vector, vector.Multiprocessing):
            while not (self._vector.buf["semaphores"] >= vector.MAIN).all():
                if not all(process.is_alive() for process in self._vector.processes):
                    raise UserError(f"env.name={self._settings.name}: a process ended, its last words stand above")
                time.sleep(0)
        observations, rewards, terminals, truncations, _, infos, *_ = self._vector.recv()
        return observations, rewards, terminals, truncations, infos

    def take_truncated(self) -> tuple[np.ndarray, np.ndarray] | None:
        taken, self._cut = self._cut, None
        return taken

    def episode_numbers(self) -> np.ndarray:
        return self._numbers.copy()

    def take_episodes(self) -> list[Episode]:
        taken, self._episodes = self._episodes, []
        return taken

    def state_dict(self) -> dict[str, np.ndarray]:
        return {"starts": np.array(self._starts)}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self._starts = int(state["starts"])

    def close(self) -> None:
        self._vector.close()


class _Numbered:
    """Seeds of its own for each environment, and the next episode within the step that ends one."""

    number, stream = 0, (0, 0)  # its place in the batch; what its seeds follow from

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        """Of `seed` only the start matters: PufferLib counts it up over environments, and over processes once more."""
        own = None if seed is None else derive(self.stream[0], seed // APART, self.stream[1]) % SEEDS
        return super().reset(seed=own)  # pyright: ignore[reportAttributeAccessIssue]

    def step(self, action: Any) -> Any:
        super().step(action)  # pyright: ignore[reportAttributeAccessIssue]
        env: Any = self
        info = {}
        if env.done:
            info = {"number": self.number, LAST: env.observations.copy()}
            ends = [part.copy() for part in (env.rewards, env.terminals, env.truncations)]
            super().reset()  # pyright: ignore[reportAttributeAccessIssue]
            env.rewards[:], env.terminals[:], env.truncations[:] = ends
        return None, None, None, None, info


class _Gymnasium(_Numbered, emulation.GymnasiumPufferEnv):
    pass


class _PettingZoo(_Numbered, emulation.PettingZooPufferEnv):
    pass


class _FlatParallel(PettingZooWrapper):
    """Observations of any space as one row of numbers, as gymnasium's FlattenObservation has it."""

    def observation_space(self, agent: str) -> Any:
        return spaces.flatten_space(self.env.observation_space(agent))

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        observations, infos = self.env.reset(seed=seed, options=options)
        return self._flat(observations), infos

    def step(self, action: dict[str, Any]) -> Any:
        observations, *others = self.env.step(action)
        return self._flat(observations), *others

    def _flat(self, observations: dict[str, Any]) -> dict[str, Any]:
        return {agent: spaces.flatten(self.env.observation_space(agent), seen) for agent, seen in observations.items()}


def _vector(settings: EnvSettings, streams: Sequence[Stream], workers: int) -> Any:
    """PufferLib's vector of emulated environments, in this process or in others."""
    num_envs = len(streams)
    creators = [partial(_emulated, settings, number, stream) for number, stream in enumerate(streams)]
    nothing: dict[str, Any] = {"env_args": [[]] * num_envs, "env_kwargs": [{}] * num_envs}
    if workers == 1:
        return vector.make(creators, **nothing, backend=vector.Serial, num_envs=num_envs)
    if num_envs % workers:
        raise UserError(f"training_env.num_workers={workers} does not divide {num_envs} environments")
    return vector.make(
        creators, **nothing, backend=vector.Multiprocessing, num_envs=num_envs, num_workers=workers, overwork=True
    )


def _emulated(settings: EnvSettings, number: int, stream: Stream, buf: Any = None, seed: int = 0) -> Any:
    """One environment in PufferLib's terms; it is seeded when it is reset. Raises UserError when it cannot be made."""
    name = str(settings.name)
    kind: Any = _Gymnasium if settings.kind == "gymnasium" else _PettingZoo
    make = _make_gymnasium if settings.kind == "gymnasium" else _make_pettingzoo
    try:
        env = kind(env=make(name, settings.kwargs), buf=buf)
    except UserError:
        raise
    except Exception as error:  # whatever a library's constructor raises is about the name or its arguments
        raise UserError(f"env.name={name}: {' '.join(str(error).split()) or type(error).__name__}") from error
    env.number, env.stream = number, stream
    return env


def _make_gymnasium(name: str, kwargs: dict[str, Any]) -> gymnasium.Env:
    env = gymnasium.make(name, disable_env_checker=True, **kwargs)
    _check_actions(name, env.action_space)
    flat = isinstance(env.observation_space, spaces.Box)
    return env if flat else gymnasium.wrappers.FlattenObservation(env)


def _make_pettingzoo(name: str, kwargs: dict[str, Any]) -> Any:
    """`package.module:function`, or `butterfly.knights_archers_zombies_v10` for that module's parallel_env."""
    module, _, function = name.partition(":")
    if not function and find_spec("pettingzoo") is None:
        raise MissingExtraError("pettingzoo", "pettingzoo")
    found = import_module(module if function else f"pettingzoo.{module}")
    env = getattr(found, function or "parallel_env")(**kwargs)
    agents = env.possible_agents
    for read in (env.observation_space, env.action_space):
        if any(read(agent) != read(agents[0]) for agent in agents):
            raise UserError(f"env.name={name}: its agents have different spaces; one policy cannot play them all")
    _check_actions(name, env.action_space(agents[0]))
    return env if isinstance(env.observation_space(agents[0]), spaces.Box) else _FlatParallel(env)


def _check_actions(name: str, space: spaces.Space) -> None:
    """Raise UserError unless actions are a choice, or a vector of choices, each counted from 0."""
    parts = [space.nvec] if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1 else []
    leaves = [] if parts else emulation.flatten_space(space)
    if any(not isinstance(leaf, spaces.Discrete) for leaf in leaves):
        raise UserError(f"env.name={name}: actions {space} are not supported, only Discrete and MultiDiscrete are")
    if any(np.any(leaf.start) for leaf in leaves or [space]):
        raise UserError(f"env.name={name}: actions {space} are not counted from 0, which is not supported")


def _space_info(name: str, env: Any) -> SpaceInfo:
    action = env.single_action_space
    sizes = tuple(map(int, action.nvec)) if isinstance(action, spaces.MultiDiscrete) else (int(action.n),)
    if math.prod(sizes) > MOST_ACTIONS:
        raise UserError(f"env.name={name}: {math.prod(sizes):,} combinations of actions, at most {MOST_ACTIONS:,} work")
    seen = env.single_observation_space
    return SpaceInfo(seen.shape, "uint8" if seen.dtype == np.uint8 else "float32", sizes, env.num_agents)
