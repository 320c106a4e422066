"""The environments as a gymnasium.vector.VectorEnv (extra `gymnasium`)."""

from typing import Any

import numpy as np

from metta.adapters.build import MAP_POOL, batch_from, begin, checked_actions
from metta.common.defaults import MISSION
from metta.common.errors import MissingExtraError
from metta.game.engine.batch import EnvBatch, Episode

try:
    from gymnasium.error import ResetNeeded
    from gymnasium.spaces import Box, Discrete
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.vector.utils import batch_space
except ImportError as error:
    raise MissingExtraError("gymnasium", "gymnasium") from error

Info = dict[str, Any]
Array = np.ndarray


def make(
    mission: str = MISSION,
    num_envs: int = 1,
    seed: int = 0,
    threads: int = 1,
    map_pool: int = MAP_POOL,
    autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
    **settings: Any,
) -> "MettaVectorEnv":
    """`num_envs` environments of a mission on `map_pool` maps; `settings` change the mission: cogs=4, max_steps=200.

    Raises:
        UserError: an unknown mission or setting, or a value out of range.
        ValueError: an autoreset mode that there is not.
    """
    batch = batch_from(mission, settings, num_envs, seed, threads, map_pool, auto_reset=False)
    return MettaVectorEnv(batch, autoreset_mode)


class MettaVectorEnv(VectorEnv[Array, Array, Array]):
    """A slot for every agent: agent a of environment e is slot e * agents + a, `num_envs` counts slots.

    Reward, end and action belong to one agent, and a vector environment has one of each per slot; whatever learns
    from single agents so trains a team that shares its policy. The slots of an environment end together.

    Observations are uint8 [slots, 200, 3], rewards float32, ends bool, all written by the engine in place: two sets of
    buffers take turns, so what `step` returned stays as it is until the step after the next.

    An episode that ends is followed by the next within the same step; its last observations are then in
    `infos["final_obs"]`. With AutoresetMode.NEXT_STEP, which some of Gymnasium's wrappers need, `step` returns the last
    observations, and the step after that begins the next episode there: it ignores the actions and returns the first
    observations, with rewards of 0. In either mode return "r" and length "l" are in `infos["final_info"]["episode"]`,
    the statistics beside them, in the step that ends the episode.
    """

    metadata: Info = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, batch: EnvBatch, autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP) -> None:
        """`batch` must leave the start of new episodes to its caller (auto_reset=False)."""
        mode = AutoresetMode(autoreset_mode)
        if mode == AutoresetMode.DISABLED:
            raise ValueError(f"autoreset_mode={mode.value} is not supported, only SameStep and NextStep are")
        self.metadata = {**type(self).metadata, "autoreset_mode": mode}
        self.batch = batch
        self._same_step = mode == AutoresetMode.SAME_STEP
        self._over = np.zeros(0, np.int64)  # environments whose next episode begins with the next step
        self.num_envs = batch.num_envs * batch.num_agents
        self.single_observation_space = Box(0, 255, (batch.info.num_tokens, 3), np.uint8)
        self.single_action_space = Discrete(len(batch.info.action_names), dtype=np.int32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        slots = self.num_envs
        self._buffers = tuple(
            (
                np.zeros((slots, batch.info.num_tokens, 3), np.uint8),
                np.zeros(slots, np.float32),
                *np.zeros((2, slots), bool),
            )
            for _ in range(2)
        )
        self._turn = 0
        self._began = False

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Array, Info]:
        """Start new episodes everywhere; with a seed the very episodes that follow from it on this pool of maps."""
        super().reset(seed=seed)
        observations = self._next_buffers()[0]
        begin(self.batch, observations, seed, self._began)
        self._began, self._over = True, self._over[:0]
        return observations, {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, Info]:
        """Every agent acts: actions [slots] of any integer type.

        Raises ValueError for another number of them or what is no action, ResetNeeded before the first reset.
        """
        acts = checked_actions(actions, self.num_envs, len(self.batch.info.action_names))
        if not self._began:
            raise ResetNeeded("reset comes before the first step")
        over = self._over
        buffers = observations, rewards, terminals, truncations = self._next_buffers()
        self.batch.step(acts, *buffers)
        episodes = [episode for episode in self.batch.take_episodes() if episode.env not in over]
        if over.size:
            self.batch.start_episodes(over, observations)
            for ended in (rewards, terminals, truncations):
                ended.reshape(-1, self.batch.num_agents)[over] = 0
        self._over = over[:0] if self._same_step else np.array([episode.env for episode in episodes], np.int64)
        infos = self._finish(episodes, observations) if episodes else {}
        return observations, rewards, terminals, truncations, infos

    def close_extras(self, **kwargs: Any) -> None:
        self.batch.close()

    def _next_buffers(self) -> tuple[Array, ...]:
        self._turn = 1 - self._turn
        return self._buffers[self._turn]

    def _finish(self, episodes: list[Episode], observations: Array) -> Info:
        """Report the episodes that have just ended and, in the same step, start the next in their place."""
        agents, environments = self.batch.num_agents, np.array([episode.env for episode in episodes])
        mask = np.zeros(self.num_envs, bool)
        mask.reshape(-1, agents)[environments] = True
        info = {"final_info": _final_info(episodes, self.batch.num_envs, agents, mask), "_final_info": mask}
        if not self._same_step:
            return info
        last = np.full(self.num_envs, None, object)
        for slot in np.flatnonzero(mask):
            last[slot] = observations[slot].copy()
        self.batch.start_episodes(environments, observations)
        return {"final_obs": last, "_final_obs": mask, **info}


def _final_info(episodes: list[Episode], environments: int, agents: int, mask: Array) -> Info:
    """Returns, lengths and statistics by slot, each with the mask of the slots that have them."""
    columns: dict[tuple[str, ...], Array] = {}

    def put(path: tuple[str, ...], episode: Episode, value: Any, dtype: Any = np.float64) -> None:
        columns.setdefault(path, np.zeros((environments, agents), dtype))[episode.env] = value

    for episode in episodes:
        put(("episode", "r"), episode, episode.returns)
        put(("episode", "l"), episode, episode.steps, np.int64)
        for name, values in episode.agent.items():
            put(("agent", name), episode, values)
        for team, stats in episode.collective.items():
            for name, value in stats.items():
                put(("collective", f"{team}.{name}"), episode, value)
    info: Info = {}
    for (group, name), column in columns.items():
        branch = info.setdefault(group, {})
        branch[name], branch[f"_{name}"] = column.reshape(-1), mask
        info[f"_{group}"] = mask
    return info
