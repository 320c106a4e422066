"""`MettaGridPufferEnv`: a simulation after the other as a PufferEnv (extra `puffer`)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from metta.common.errors import MissingExtraError
from metta.compat.config import MettaGridConfig
from metta.compat.environment import PolicyEnvInterface
from metta.compat.loading import initialize_or_load_policy
from metta.compat.observation import dtype_actions
from metta.compat.policy import PolicySpec
from metta.compat.simulation import Buffers, Simulation, Simulator, new_buffers
from metta.compat.step_infos import StepInfos
from metta.compat.text_map import map_text
from metta.game.observation import PLAIN_ACTIONS

try:
    from gymnasium.spaces import Box, Discrete
    from pufferlib.pufferlib import PufferEnv
except ImportError as error:
    raise MissingExtraError("pufferlib", "puffer") from error

Array = np.ndarray
WITH_VIBE = 2  # columns of actions that hold a vibe beside the move


def _buffer(name: str) -> Any:
    """An array of the buffers. PufferLib replaces it by one of its own, which the next simulation writes."""
    return property(lambda env: getattr(env._buffers, name), lambda env, array: setattr(env._buffers, name, array))


class MettaGridPufferEnv(PufferEnv):
    """The step after the last of an episode begins the next and plays in it: its first observations are not seen."""

    metadata = {"render_modes": ["ansi"]}
    render_mode = "ansi"
    observations, rewards, terminals, truncations = map(
        _buffer, ("observations", "rewards", "terminals", "truncations")
    )
    masks, actions, vibe_actions, teacher_actions = map(
        _buffer, ("masks", "actions", "vibe_actions", "teacher_actions")
    )

    def __init__(
        self,
        simulator: Simulator,
        cfg: MettaGridConfig,
        supervisor_policy_spec: PolicySpec | None = None,
        step_info_keys: Sequence[str] | None = None,
        buf: dict[str, Array] | None = None,
        seed: int = 0,
    ) -> None:
        """Raises NotPlayableError for a configuration that this engine cannot play."""
        self._simulator, self._current_cfg, self._current_seed = simulator, cfg, seed
        self._supervisor_policy_spec, self._supervisor = supervisor_policy_spec, None
        self._policy_env_info = PolicyEnvInterface.from_mg_cfg(cfg)
        self._step_infos = StepInfos(step_info_keys or ())
        info = self._policy_env_info
        self.num_agents = info.num_agents
        self._buffers: Buffers = new_buffers(self.num_agents, info.observation_shape)
        self.single_observation_space: Box = info.observation_space
        self.single_action_space: Discrete = info.action_space
        self.single_vibe_action_space: Discrete = info.vibe_action_space
        self.single_transport_action_space = Discrete(len(info.action_names) * (1 + len(info.vibe_action_names)))
        self._sim: Simulation | None = self._new_simulation()
        super().__init__(buf=buf)

    @property
    def env_cfg(self) -> MettaGridConfig:
        return self._current_cfg

    def set_mg_config(self, config: MettaGridConfig) -> None:
        """Play another game from the next simulation on. Raises RuntimeError for another number of agents."""
        if config.game.num_agents != self.num_agents:
            raise RuntimeError(f"the game has {config.game.num_agents} agents, the environment {self.num_agents}")
        self._current_cfg = config

    @property
    def current_simulation(self) -> Simulation:
        """Raises RuntimeError after `close`."""
        if self._sim is None:
            raise RuntimeError("Simulation is closed")
        return self._sim

    def get_episode_rewards(self) -> Array:
        return self.current_simulation.episode_rewards

    def reset(self, seed: int | None = None) -> tuple[Array, dict[str, Any]]:
        """Begin a new simulation; a seed stays for those that follow."""
        self._current_seed = self._current_seed if seed is None else seed
        self._next_simulation()
        return self._buffers.observations, self._step_infos(self.current_simulation)

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Moves [N] or [N, 1], moves and vibes [N, 2], or both in one number: move + 5 x (vibe + 1), for all agents.

        Raises ValueError for what is no action.
        """
        assert self._sim is not None
        if self._sim.is_done():
            self._next_simulation()
        moves, vibes = self._decoded(actions if actions.dtype == dtype_actions else _whole(actions))
        self._buffers.actions[:] = moves
        if vibes is not None:
            self.vibe_actions[:] = vibes
        elif self._supervisor is None:
            self.vibe_actions[:] = 0
        sim = self.current_simulation
        sim.step()
        self._ask_supervisor()
        buffers = self._buffers
        infos = self._step_infos(sim)
        return buffers.observations, buffers.rewards, buffers.terminals, buffers.truncations, infos

    def _decoded(self, actions: Array) -> tuple[Array, Array | None]:
        """Moves [N], and flat ids of vibes [N] if any are meant."""
        moves, vibes = actions, None
        choices = len(self._policy_env_info.action_names)
        vibe_choices = len(self._policy_env_info.vibe_action_names)
        if actions.ndim == 2 and actions.shape[1] in (1, WITH_VIBE):
            moves = actions[:, 0]
            if actions.shape[1] == WITH_VIBE:
                vibes = actions[:, 1] + (PLAIN_ACTIONS if (actions[:, 1] < vibe_choices).all() else 0)
        elif actions.ndim == 1 and (actions >= choices).any():
            moves, index = actions % choices, actions // choices - 1
            if (index < 0).any() or (index >= vibe_choices).any():
                raise ValueError(
                    f"vibes are 0 to {vibe_choices - 1}, as move + {choices} x (vibe + 1) for all agents or for none; "
                    f"these are {index.min()} to {index.max()}"
                )
            vibes = index + PLAIN_ACTIONS
        elif actions.ndim != 1:
            raise ValueError(f"actions have the shape {actions.shape}, not [agents] or [agents, 2]")
        if moves.shape != (self.num_agents,):
            raise ValueError(f"these are {len(moves)} actions of {self.num_agents} agents")
        if (moves < 0).any() or (moves >= choices).any():
            raise ValueError(f"moves are 0 to {choices - 1}, these are {moves.min()} to {moves.max()}")
        if vibes is not None and (vibes < 0).any():
            raise ValueError(f"vibes are not negative, these are {vibes.min()} to {vibes.max()}")
        return moves, vibes

    def _new_simulation(self) -> Simulation:
        sim = self._simulator.new_simulation(self._current_cfg, self._current_seed, self._buffers)
        if self._supervisor_policy_spec is not None:
            self._supervisor = initialize_or_load_policy(self._policy_env_info, self._supervisor_policy_spec)
            self._ask_supervisor()
        return sim

    def _next_simulation(self) -> None:
        self.close()
        self._sim = self._new_simulation()

    def _ask_supervisor(self) -> None:
        """Its actions are the labels; what of them are vibes is done in the next step."""
        if self._supervisor is None:
            return
        labels, vibes = self._buffers.teacher_actions, self.vibe_actions
        self._supervisor.step_batch(self._buffers.observations, labels)
        last = len(self._policy_env_info.all_action_names) - 1
        if (labels < 0).any() or (labels > last).any():
            wrong = int(np.flatnonzero((labels < 0) | (labels > last))[0])
            raise ValueError(f"the supervisor's action {labels[wrong]} of agent {wrong} is not one of 0 to {last}")
        vibes[:] = np.where(labels >= PLAIN_ACTIONS, labels, 0)

    def disable_supervisor(self) -> None:
        self._supervisor_policy_spec = self._supervisor = None

    def render(self) -> str:
        """The whole map in characters."""
        return map_text(self.current_simulation)

    def close(self) -> None:
        if self._sim is not None:
            self._sim.close()
            self._sim = None


def _whole(actions: Array) -> Array:
    """Raises ValueError for what is no number."""
    if actions.dtype.kind == "f" and not np.isfinite(actions).all():
        raise ValueError("actions hold what is no number")
    return np.asarray(actions, dtype_actions)
