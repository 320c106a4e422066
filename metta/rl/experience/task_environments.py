"""Environments that play several tasks at once: groups of consecutive ones, each a batch of its task's mission.

A group gets another task only between two batches of training. Its present episodes are cut there: what they would
still have brought is the value of what was last seen, as for every segment that ends in the midst of an episode. The
new task's first episodes begin with new memory.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from metta.common.errors import UserError
from metta.common.ranks import available_cores
from metta.common.seeds import derive
from metta.game.build import build_batch
from metta.game.engine.batch import Cut, EnvBatch, Episode
from metta.game.missions import build_mission
from metta.game.observation import EnvInfo
from metta.rl.experience.curriculum import Curriculum
from metta.rl.experience.environments import Environments
from metta.rl.experience.settings import TrainingEnvSettings
from metta.rl.experience.tasks import TaskSpace
from metta.rl.run.metrics import EpisodeMetrics, Metrics
from metta.rl.settings import RunConfig
from metta.rl.world import ALONE, World

LEAST_MAPS = 8  # of a group's pool


@dataclass
class Group:
    """Consecutive environments that play one task: its batch, and the numbers of task and turn it was built for."""

    number: int  # of all groups
    envs: slice  # among the environments of this process
    batch: EnvBatch
    built_for: tuple[int, int]
    before: np.ndarray  # int64 [environments]: episodes of earlier turns


class TaskEnvironments:
    """The environments of a curriculum's groups, as `Environments` has it. Only whole episodes are handed out."""

    device = "cpu"
    resumes = True

    def __init__(
        self, curriculum: Curriculum, info: EnvInfo, settings: TrainingEnvSettings, seed: int, world: World = ALONE
    ) -> None:
        """This process's groups, whole ones. Maps and all else random of a group's turn follow from `seed` and the
        numbers of group and turn."""
        groups = range(curriculum.settings.groups)[world.own(curriculum.settings.groups)]
        self.curriculum, self.info = curriculum, info
        self._settings, self._seed, self._numbers = settings, seed, groups
        self._each = curriculum.group_envs
        self.num_envs, self.num_agents = len(groups) * self._each, info.num_agents
        self._threads = settings.num_workers or available_cores()
        self._groups: list[Group] = []  # once they have begun
        self._helpers = min(self._threads, len(groups)) - 1
        self._pool = ThreadPoolExecutor(self._helpers, "group") if self._helpers else None

    def reset(self, observations: np.ndarray) -> None:
        """Start the curriculum and an episode everywhere; writes the first observations."""
        self.curriculum.start()
        self._build_all()
        for group in self._groups:
            group.batch.reset(observations[group.envs])

    def step(self, actions: Any, observations: Any, rewards: Any, terminals: Any, truncations: Any) -> None:
        """Let every agent act once. Threads take one group after the other, each writes its part of the buffers."""
        buffers = (actions, observations, rewards, terminals, truncations)
        waiting = iter(self._groups)  # one for all threads

        def work() -> None:
            for group in waiting:
                group.batch.step(*(buffer[group.envs] for buffer in buffers))

        futures = [self._pool.submit(work) for _ in range(self._helpers)] if self._pool else []
        work()
        for future in futures:
            future.result()

    def take_episodes(self) -> list[Episode]:
        """Whole episodes that finished since the last call, by group; of an environment its number in the run."""
        return [
            replace(
                episode,
                env=group.number * self._each + episode.env,
                number=int(group.before[episode.env]) + episode.number,
            )
            for group in self._groups
            for episode in group.batch.take_episodes()
            if episode.steps >= group.batch.mission.max_steps
        ]

    def episode_numbers(self) -> np.ndarray:
        return np.concatenate([group.before + group.batch.episode_numbers() for group in self._groups])

    def take_truncated(self) -> Cut | None:
        taken = [(group.envs.start, cut) for group in self._groups if (cut := group.batch.take_truncated())]
        if not taken:
            return None
        agents = [agents + start * self.num_agents for start, (agents, _) in taken]
        return np.concatenate(agents), np.concatenate([seen for _, (_, seen) in taken])

    def next_tasks(self, episodes: Sequence[Episode], observations: np.ndarray) -> tuple[np.ndarray, Metrics]:
        """Let groups begin other tasks, as `Tasked` and `Curriculum.update` have it; writes what is seen there."""
        self.curriculum.update(episodes)
        begun = np.zeros(self.num_envs, bool)
        for index, group in enumerate(self._groups):
            if group.built_for != self._wanted(group.number):
                group.batch.close()
                fresh = self._build(group.number, group.before + group.batch.episode_numbers() + 1)
                fresh.batch.reset(observations[group.envs])
                begun[group.envs] = True
                self._groups[index] = fresh
        return begun, self.curriculum.metrics()

    def state_dict(self) -> dict[str, np.ndarray]:
        state = self.curriculum.state_dict()
        for group in self._groups:
            own = {"before": group.before.copy(), **group.batch.state_dict()}
            state |= {f"group{group.number}.{name}": array for name, array in own.items()}
        return state

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.curriculum.load_state_dict(state)
        self._build_all()
        for group in self._groups:
            prefix = f"group{group.number}."
            own = {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
            group.before[:] = own.pop("before")
            group.batch.load_state_dict(own)

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown()
        for group in self._groups:
            group.batch.close()

    def _wanted(self, number: int) -> tuple[int, int]:
        """Numbers of the task and the turn that a group is to play."""
        turn = self.curriculum.turns[number]
        return self.curriculum.tasks[turn.slot].number, turn.number

    def _build_all(self) -> None:
        """Make the groups that the curriculum has now."""
        for group in self._groups:
            group.batch.close()
        self._groups = [self._build(number, np.zeros(self._each, np.int64)) for number in self._numbers]

    def _build(self, number: int, before: np.ndarray) -> Group:
        settings, groups, wanted = self._settings, self.curriculum.settings.groups, self._wanted(number)
        batch = build_batch(
            self.curriculum.mission(number),
            self._each,
            seed=derive(self._seed, "group", number, wanted[1]),
            map_pool=max(settings.map_pool // groups, min(LEAST_MAPS, settings.map_pool)),
            threads=max(1, self._threads // len(self._numbers)),
            desync=settings.desync_episodes,
            fresh_maps=settings.fresh_maps,
        )
        first = (number - self._numbers.start) * self._each
        return Group(number, slice(first, first + self._each), batch, wanted, before)


@dataclass(frozen=True)
class Tasks:
    """The tasks of a run's curriculum, as `Source` has it."""

    config: RunConfig
    space: TaskSpace
    whole_info: EnvInfo

    @classmethod
    def of(cls, config: RunConfig) -> "Tasks":
        """Raise UserError where the settings make no missions, or not such that one policy plays them all."""
        assert config.curriculum is not None
        if config.env.kind != "metta" or config.env.backend != "cpu":
            have = f"env={config.env.kind}" if config.env.kind != "metta" else f"env.backend={config.env.backend}"
            raise UserError(f"curriculum: {have} plays one mission; tasks need the game with env.backend=cpu", ("env",))
        space = TaskSpace(config.mission, config.curriculum.draws, config.system.seed)
        return cls(config, space, space.check())

    @property
    def name(self) -> str:
        return "curriculum"

    @property
    def label(self) -> str:
        return self.name

    @property
    def info(self) -> EnvInfo:
        return self.whole_info if self.config.training_env.vibe_actions else self.whole_info.without_vibes

    @property
    def fingerprint(self) -> dict[str, object]:
        parts = {"mission": self.config.mission, "curriculum": self.config.curriculum}
        return {
            **{name: part.model_dump_json() for name, part in parts.items() if part},
            **self.config.training_env.of_episodes,
        }

    @property
    def always(self) -> tuple[str, ...]:
        return EpisodeMetrics.of_game(build_mission(self.config.mission).teams)

    def build(self, num_envs: int, seed: int, world: World = ALONE) -> TaskEnvironments:
        assert self.config.curriculum is not None
        curriculum = Curriculum(self.config.curriculum, self.space, seed, num_envs)
        return TaskEnvironments(curriculum, self.whole_info, self.config.training_env, seed, world)

    def attributes(self, env: Environments) -> dict[str, float]:
        return {"agents": self.info.num_agents}

    def is_whole(self, episode: Episode) -> bool:
        return True  # the environments hand out no others
