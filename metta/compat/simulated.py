"""What people hold of a simulation: its agents, and what they reach for as `_c_sim`."""

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from metta.compat.grid_objects import BoundingBox
from metta.compat.inventory import set_inventory
from metta.compat.observation import Action, AgentObservation, ObservationToken, decode
from metta.game.observation import PLAIN_ACTIONS, collectives

if TYPE_CHECKING:
    from metta.compat.simulation import Simulation


class SimulationAgent:
    """One agent of a simulation."""

    def __init__(self, simulation: "Simulation", agent: int) -> None:
        self._sim, self.id = simulation, agent

    def set_action(self, action: Action | str) -> None:
        """What it does from now on. Raises KeyError for an action that there is not."""
        name = action if isinstance(action, str) else action.name
        number = self._sim.action_ids[name]
        vibe = number >= PLAIN_ACTIONS
        self._sim._buffers.actions[self.id] = 0 if vibe else number
        self._sim._vibe_actions[self.id] = number if vibe else 0

    @property
    def observation(self) -> AgentObservation:
        return decode(self.id, self._sim._buffers.observations[self.id], self._sim.features)

    @property
    def step_reward(self) -> np.float32:
        return self._sim._buffers.rewards[self.id]

    @property
    def episode_reward(self) -> np.float32:
        return self._sim.episode_rewards[self.id]

    @property
    def last_action_success(self) -> bool:
        return self._sim.action_success[self.id]

    def self_observation(self) -> list[ObservationToken]:
        """Tokens of the agent's own cell."""
        centre = self._sim.policy_env_info.obs_height // 2, self._sim.policy_env_info.obs_width // 2
        return [token for token in self.observation.tokens if token.location == centre]

    def global_observation_tokens(self) -> list[ObservationToken]:
        return [token for token in self.observation.tokens if token.is_global]

    @property
    def global_observations(self) -> dict[str, int]:
        """Values of the global tokens by feature."""
        return _folded(self.global_observation_tokens())

    @property
    def inventory(self) -> dict[str, int]:
        """What the agent sees that it holds."""
        own = [token for token in self.self_observation() if token.feature.name.startswith("inv:")]
        return {name.removeprefix("inv:"): amount for name, amount in _folded(own).items()}

    def set_inventory(self, inventory: dict[str, int]) -> None:
        """What it holds from now on, as far as its limits go, and nothing else. It is seen after the next step.

        Raises ValueError for a resource that there is not.
        """
        limits = list(self._sim.config.game.agents[self.id].inventory.limits.values())
        set_inventory(self._sim._batch, self.id, inventory, self._sim.resource_names, limits)


def _folded(tokens: list[ObservationToken]) -> dict[str, int]:
    """Values by feature; `:p1` counts 256 times."""
    found: dict[str, int] = {}
    for token in tokens:
        name, _, power = token.feature.name.partition(":p")
        high = power.isdigit()
        key = name if high else token.feature.name
        found[key] = found.get(key, 0) + token.value * 256 ** (int(power) if high else 0)
    return found


class Core:
    """What people reach for as `_c_sim`: live arrays, and statistics by name."""

    def __init__(self, simulation: "Simulation") -> None:
        self._sim = simulation
        info, buffers = simulation.policy_env_info, simulation._buffers
        self.obs_height, self.obs_width = info.egocentric_shape
        self.num_agents, self.max_steps = simulation.num_agents, simulation.mission.max_steps
        self.map_height, self.map_width = simulation.map_height, simulation.map_width
        self._arrays = {one.name: getattr(buffers, one.name) for one in fields(buffers)}

    def observations(self) -> np.ndarray:
        return self._arrays["observations"]

    def rewards(self) -> np.ndarray:
        return self._arrays["rewards"]

    def terminals(self) -> np.ndarray:
        return self._arrays["terminals"]

    def truncations(self) -> np.ndarray:
        return self._arrays["truncations"]

    def masks(self) -> np.ndarray:
        return self._arrays["masks"]

    def actions(self) -> np.ndarray:
        return self._arrays["actions"]

    def vibe_actions(self) -> np.ndarray:
        return self._sim._vibe_actions

    def action_success(self) -> list[bool]:
        return self._sim.action_success

    @property
    def current_step(self) -> int:
        return self._sim.current_step

    def get_episode_rewards(self) -> np.ndarray:
        return self._sim.episode_rewards

    def get_episode_stats(self) -> dict[str, Any]:
        return self._sim.episode_stats

    def get_game_stat(self, key: str) -> float | None:
        return self._sim.episode_stats["game"].get(key)

    def get_agent_stat(self, agent: int, key: str) -> float | None:
        return self._sim.episode_stats["agent"][agent].get(key)

    def get_collective_stat(self, name: str, key: str) -> float | None:
        return self._sim.episode_stats["collective"].get(name, {}).get(key)

    def get_collective_inventories(self) -> dict[str, dict[str, int]]:
        """What teams own, by resource."""
        held = self._sim._batch.team_inventory()[0].tolist()
        names = self._sim.resource_names
        return {
            team: {name: amount for name, amount in zip(names, row, strict=True) if amount}
            for team, row in zip(collectives(self._sim.mission), held, strict=True)
        }

    def grid_objects(
        self,
        min_row: int | None = None,
        max_row: int | None = None,
        min_col: int | None = None,
        max_col: int | None = None,
        ignore_types: Sequence[str] = (),
    ) -> dict[int, dict[str, Any]]:
        sides = (min_row, max_row, min_col, max_col)
        bbox = None if None in sides else BoundingBox(*sides)  # type: ignore[arg-type]
        return self._sim.grid_objects(bbox, ignore_types)
