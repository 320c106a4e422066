"""What the trainer trains on: environments that it steps, and what is known of them before they are built."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from metta.common.ranks import available_cores
from metta.game.build import build_batch, build_device_batch
from metta.game.engine.batch import Batch, Episode
from metta.game.mission import Mission
from metta.game.missions import build_mission
from metta.game.observation import EnvInfo, env_info
from metta.policy.interface import Info
from metta.rl.experience.settings import TrainingEnvSettings
from metta.rl.machine import torch_stream
from metta.rl.run.metrics import EpisodeMetrics, Metrics
from metta.rl.settings import RunConfig
from metta.rl.world import ALONE, World


class Environments(Protocol):
    """`num_envs` environments of `num_agents` agents each, stepped together; the engine's `EnvBatch` is one.

    The caller owns the buffers, all C-contiguous: observations [E, A, ...] of the shape and type that `info` tells,
    rewards float32 [E, A], terminals and truncations bool [E, A], actions int32 [E, A]. An episode that ends is
    followed by the next one within the same step.
    """

    @property
    def num_envs(self) -> int: ...

    @property
    def num_agents(self) -> int: ...

    @property
    def info(self) -> Info: ...

    @property
    def device(self) -> str:
        """Where the buffers lie: `cpu`, where they are arrays, or `cuda`, where they are torch's tensors."""
        ...

    @property
    def resumes(self) -> bool:
        """Whether `load_state_dict` goes on in the midst of episodes; otherwise `reset` must follow it."""
        ...

    def reset(self, observations: Any) -> None:
        """Start an episode everywhere; writes the first observations."""
        ...

    def step(self, actions: Any, observations: Any, rewards: Any, terminals: Any, truncations: Any) -> None:
        """Let every agent act once."""
        ...

    def take_episodes(self) -> list[Episode]:
        """Episodes that finished since the last call, with the numbers that the environments have in the run."""
        ...

    def episode_numbers(self) -> np.ndarray:
        """Number of the present episode of every environment, int64 [E], as `Episode.number` counts."""
        ...

    def take_truncated(self) -> tuple[np.ndarray, Any] | None:
        """Of the last step the agents whose episode was cut short though the task goes on (truncation): their indices
        int64 [n] among all agents, and what they last saw [n, ...], where the buffers lie; None if there are none."""
        ...

    def state_dict(self) -> dict[str, np.ndarray]: ...

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None: ...

    def close(self) -> None: ...


@runtime_checkable
class Repeatable(Environments, Protocol):
    """Environments whose steps a CUDA graph can repeat: what the host does of a step is apart from what it queues."""

    def prepare(self) -> np.ndarray:
        """What the host does before a step, once for each; the agents whose episode is cut in it, int64 [n]."""
        ...

    def advance(
        self, actions: Any, observations: Any, rewards: Any, terminals: Any, truncations: Any, last: Any = None
    ) -> None:
        """The rest of `step`, which a graph can repeat. What agents whose episode is cut last saw is in `last`, if that
        is given, in place of `take_truncated`."""
        ...


@runtime_checkable
class Tasked(Environments, Protocol):
    """Environments of several missions, other ones from batch to batch."""

    def next_tasks(self, episodes: Sequence[Episode], observations: Any) -> tuple[np.ndarray, Metrics]:
        """After a batch in which these whole episodes ended, anywhere in the run: let environments begin another task,
        in the midst of their episode; writes what is seen there. Return which did, bool [E], and what is reported."""
        ...


class Source(Protocol):
    """Environments before they are built: what follows from the settings alone."""

    @property
    def name(self) -> str:
        """Name by which a command knows it."""
        ...

    @property
    def label(self) -> str:
        """Name in reports."""
        ...

    @property
    def info(self) -> Info:
        """What a policy is built for."""
        ...

    @property
    def whole_info(self) -> Info:
        """The same with all actions that the environment has."""
        ...

    @property
    def fingerprint(self) -> dict[str, object]:
        """The settings that the environments' state depends on, beside seed and number, by their keys."""
        ...

    @property
    def always(self) -> tuple[str, ...]:
        """Statistics that a report shows even where no episode has them."""
        ...

    def build(self, num_envs: int, seed: int, world: World = ALONE) -> Environments:
        """Of so many environments those that are this process's own."""
        ...

    def attributes(self, env: Environments) -> dict[str, float]:
        """Facts on the environments that were built, for reports."""
        ...

    def is_whole(self, episode: Episode) -> bool:
        """Whether an episode was played to its end and counts in reports."""
        ...


@dataclass(frozen=True)
class Game:
    """A mission of the game on fresh maps."""

    mission: Mission
    settings: TrainingEnvSettings
    backend: Literal["cpu", "cuda"] = "cpu"

    @property
    def name(self) -> str:
        return self.mission.name

    @property
    def label(self) -> str:
        return self.mission.label

    @property
    def info(self) -> EnvInfo:
        full = self.whole_info
        return full if self.settings.vibe_actions else full.without_vibes

    @property
    def whole_info(self) -> EnvInfo:
        return env_info(self.mission)

    @property
    def fingerprint(self) -> dict[str, object]:
        return {"mission": self.mission.model_dump_json(), "env.backend": self.backend, **self.settings.of_episodes}

    @property
    def always(self) -> tuple[str, ...]:
        return EpisodeMetrics.of_game(self.mission.teams)

    def build(self, num_envs: int, seed: int, world: World = ALONE) -> Batch:
        pool, desync, fresh = self.settings.map_pool, self.settings.desync_episodes, self.settings.fresh_maps
        threads = self.settings.num_workers or available_cores()
        own = world.own(num_envs)
        options: dict[str, Any] = {
            "seed": seed,
            "map_pool": pool,
            "threads": threads,
            "desync": desync,
            "fresh_maps": fresh,
            "first": own.start,
            "gather": lambda part: np.concatenate(world.gather_objects(part)),
        }
        if self.backend == "cuda":
            return build_device_batch(self.mission, own.stop - own.start, **options, stream=torch_stream)
        return build_batch(self.mission, own.stop - own.start, **options)

    def attributes(self, env: Environments) -> dict[str, float]:
        assert isinstance(env, Batch)
        rows, cols = env.map_shape
        agents, steps = self.mission.agents, self.mission.max_steps
        return {"map_height": rows, "map_width": cols, "agents": agents, "max_steps": steps}

    def is_whole(self, episode: Episode) -> bool:
        return episode.steps >= self.mission.max_steps


def for_agents(info: Info, agents: int) -> Info:
    """What a policy is built for that plays only so many agents of each environment of the game."""
    return replace(info, num_agents=agents) if isinstance(info, EnvInfo) else info


def find_source(config: RunConfig) -> Source:
    """What the settings name. Raise UserError if there is no such mission or environment, or a library is missing."""
    if config.curriculum:
        from metta.rl.experience.task_environments import Tasks  # here because it is one of these environments itself

        return Tasks.of(config)
    if config.env.kind == "metta":
        return Game(build_mission(config.mission), config.training_env, config.env.backend)
    from metta.rl.experience.external import Foreign  # here because only such runs need the libraries

    return Foreign(config.env, config.training_env.num_workers)
