"""`Simulator` and `Simulation` of `mettagrid`: one environment of this engine, stepped by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metta.compat.config import MettaGridConfig
from metta.compat.environment import PolicyEnvInterface
from metta.compat.errors import as_value_errors
from metta.compat.grid_objects import BoundingBox, GridObjects
from metta.compat.observation import (
    AgentObservation,
    ObservationFeatureSpec,
    dtype_actions,
    dtype_observations,
    dtype_rewards,
)
from metta.compat.random_map import of_number
from metta.compat.reading import mission_of
from metta.compat.simulated import Core, SimulationAgent
from metta.compat.window import Window
from metta.game.engine.batch import EnvBatch, Episode
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission
from metta.game.observation import PLAIN_ACTIONS, resources
from metta.game.resources import move_and_vibe

MOST_TYPES = 25  # names, padded with ""


@dataclass
class Buffers:
    """Arrays that the engine reads and writes, by agent."""

    observations: np.ndarray  # uint8 [N, 200, 3], of a smaller window fewer
    terminals: np.ndarray  # bool [N]
    truncations: np.ndarray  # bool [N]
    rewards: np.ndarray  # float32 [N]
    masks: np.ndarray  # bool [N]
    actions: np.ndarray  # int32 [N]: moves
    teacher_actions: np.ndarray  # int32 [N]
    vibe_actions: np.ndarray | None = None  # int32 [N]: flat ids, 0 for none


def new_buffers(agents: int, shape: tuple[int, ...]) -> Buffers:
    """Zeros for so many agents; all masks are set."""
    return Buffers(
        observations=np.zeros((agents, *shape), dtype_observations),
        terminals=np.zeros(agents, bool),
        truncations=np.zeros(agents, bool),
        rewards=np.zeros(agents, dtype_rewards),
        masks=np.ones(agents, bool),
        actions=np.zeros(agents, dtype_actions),
        teacher_actions=np.zeros(agents, dtype_actions),
        vibe_actions=np.zeros(agents, dtype_actions),
    )


class SimulatorEventHandler:
    """Is told what happens; `self._sim` is the simulation."""

    def __init__(self) -> None:
        self._sim: Any = None

    def set_simulation(self, simulation: "Simulation") -> None:
        self._sim = simulation

    def on_episode_start(self) -> None: ...

    def on_step(self) -> None: ...

    def on_episode_end(self) -> None: ...

    def on_close(self) -> None: ...


class Simulator:
    """Makes simulations; of a map with a seed the k-th has the seed + k."""

    def __init__(self, maps_cache_size: int | None = None) -> None:
        self._handlers: list[SimulatorEventHandler] = []
        self._cache_size = maps_cache_size
        self._made = 0
        self._newest: Simulation | None = None

    def add_event_handler(self, handler: SimulatorEventHandler) -> None:
        """Tell a handler of simulations that are made from now on."""
        self._handlers.append(handler)

    def new_simulation(self, config: MettaGridConfig, seed: int = 0, buffers: Buffers | None = None) -> "Simulation":
        number = self._made % self._cache_size if self._cache_size else self._made
        self._newest = Simulation(config, seed, list(self._handlers), self, buffers, map_number=number)
        self._made += 1
        return self._newest

    def close(self) -> None:
        """Close the newest simulation."""
        if self._newest is not None:
            self._newest.close()


class Simulation:
    """An episode, at step 0 when it is built."""

    def __init__(
        self,
        config: MettaGridConfig,
        seed: int = 0,
        event_handlers: Sequence[SimulatorEventHandler] = (),
        simulator: Simulator | None = None,
        buffers: Buffers | None = None,
        maps_cache: Any = None,
        *,
        map_number: int = 0,
    ) -> None:
        """Raises NotPlayableError (a ValueError) for a configuration that this engine cannot play."""
        self.config, self.seed = config, seed
        self._simulator, self._handlers = simulator, list(event_handlers)
        self._context: dict[str, Any] = {}
        self._closed = False
        for handler in self._handlers:
            handler.set_simulation(self)
        self.mission = mission_of(of_number(config, map_number))
        with as_value_errors():
            maps = _map(self.mission, map_number)
            self._batch = EnvBatch(self.mission, 1, maps=maps, seed=seed & 0xFFFFFFFF, auto_reset=False)
        self._window = Window(config.game)
        price = config.game.actions.move.consumed_resources.get("energy")
        self.policy_env_info = PolicyEnvInterface.from_info(self._batch.info, price, self._window)
        self._buffers = buffers or new_buffers(self.num_agents, self.observation_shape)
        if self._buffers.vibe_actions is None:
            self._buffers.vibe_actions = np.zeros(self.num_agents, dtype_actions)
        self._begin()
        self._grid = GridObjects(self._batch, config)
        self._agents = [SimulationAgent(self, agent) for agent in range(self.num_agents)]
        self._c_sim = Core(self)
        self._tell("on_episode_start")

    def _begin(self) -> None:
        buffers = self._buffers
        buffers.rewards[:], buffers.actions[:], buffers.masks[:] = 0, 0, True
        buffers.terminals[:] = buffers.truncations[:] = False
        self._vibe_actions[:] = 0
        self._window.begin()
        self._batch.reset(self._window.of_engine(buffers.observations))
        self._window.show(buffers.observations)
        self.episode_rewards = np.zeros(self.num_agents, dtype_rewards)

    def _tell(self, what: str) -> None:
        for handler in self._handlers:
            getattr(handler, what)()

    @property
    def _vibe_actions(self) -> np.ndarray:
        assert self._buffers.vibe_actions is not None
        return self._buffers.vibe_actions

    # What is played.

    @property
    def num_agents(self) -> int:
        return self.mission.agents

    @property
    def observation_shape(self) -> tuple[int, ...]:
        return self.policy_env_info.observation_shape

    @property
    def action_names(self) -> list[str]:
        """Moves and vibes by flat id."""
        return self.policy_env_info.all_action_names

    @property
    def action_ids(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.action_names)}

    @property
    def vibe_action_names(self) -> list[str]:
        return self.policy_env_info.vibe_action_names

    @property
    def vibe_action_ids(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.vibe_action_names, PLAIN_ACTIONS)}

    @property
    def resource_names(self) -> list[str]:
        return list(resources(self.mission))

    @property
    def features(self) -> list[ObservationFeatureSpec]:
        return self.policy_env_info.obs_features

    def get_feature(self, feature_id: int) -> ObservationFeatureSpec:
        """Raises KeyError for an id that there is not."""
        return dict(enumerate(self.features))[feature_id]

    @property
    def object_type_names(self) -> list[str]:
        names = sorted(self._grid.type_names)
        return names + [""] * (MOST_TYPES - len(names))

    # How it stands.

    @property
    def current_step(self) -> int:
        return int(self._batch.steps()[0])

    @property
    def map_height(self) -> int:
        return self._batch.map_shape[0]

    @property
    def map_width(self) -> int:
        return self._batch.map_shape[1]

    @property
    def action_success(self) -> list[bool]:
        return self._batch.successes()[0].tolist()

    @property
    def episode_stats(self) -> dict[str, Any]:
        """Statistics so far: game, agent (one each), collective. What nobody did is left out."""
        so_far: Episode = self._batch.statistics(0)
        agents = [
            {
                name: float(values[agent])
                for name, values in so_far.agent.items()
                if values[agent] and name not in self._window.uncounted
            }
            for agent in range(self.num_agents)
        ]
        game = so_far.game | self._window.statistics()
        return {"game": game, "agent": agents, "collective": so_far.collective}

    def grid_objects(
        self, bbox: BoundingBox | None = None, ignore_types: Sequence[str] | None = None
    ) -> dict[int, dict[str, Any]]:
        """Everything on the map by id: dictionaries with place, type, owner and inventory."""
        return self._grid.present(bbox, ignore_types or ())

    def agents(self) -> list["SimulationAgent"]:
        return list(self._agents)

    def agent(self, agent_id: int) -> "SimulationAgent":
        """Raises IndexError for one that there is not."""
        return self._agents[agent_id]

    def observations(self) -> list[AgentObservation]:
        return [agent.observation for agent in self._agents]

    # What happens.

    def step(self) -> None:
        """All agents act as they were last told to. Raises AttributeError after `close`."""
        if self._closed:
            raise AttributeError("the simulation is closed")
        buffers, acts = self._buffers, self._flat_actions()
        ends = buffers.terminals, buffers.truncations
        self._batch.step(acts, self._window.of_engine(buffers.observations), buffers.rewards, *ends)
        self._window.show(buffers.observations)
        self._batch.take_episodes()
        self.episode_rewards += buffers.rewards
        self._tell("on_step")
        if self.is_done():
            self._tell("on_episode_end")

    def _flat_actions(self) -> np.ndarray:
        """What agents do as the engine counts it, int32 [N]: their moves, or moves with vibes."""
        actions, vibes = self._buffers.actions, self._vibe_actions
        if not vibes.any() and actions.max() < PLAIN_ACTIONS:  # the usual case, at a fifth of the time
            return np.ascontiguousarray(actions, np.int32)
        moves = np.where(actions < PLAIN_ACTIONS, actions, 0)
        acts = np.where(vibes >= PLAIN_ACTIONS, move_and_vibe(moves, vibes - PLAIN_ACTIONS), moves)
        return np.where(actions > self._last_action, actions, acts).astype(np.int32)

    @property
    def _last_action(self) -> int:
        """What is above it is no action, which the engine counts."""
        return PLAIN_ACTIONS + len(self.vibe_action_names) - 1

    def is_done(self) -> bool:
        return bool(self._buffers.terminals.all() or self._buffers.truncations.all())

    def end_episode(self) -> None:
        """Cut the episode short."""
        self._buffers.truncations[:] = True

    def close(self) -> None:
        """Nothing is played any more; what was played can still be looked at."""
        if not self._closed:
            self._closed = True
            self._tell("on_close")
            self._batch.close()


def _map(mission: Mission, number: int) -> np.ndarray:
    """The map of the number of a simulation, uint8 [1, H, W]; without a seed any."""
    seed = mission.map.seed
    first = int(np.random.randint(1 << 31)) if seed is None else seed + number
    free = mission.model_copy(update={"map": mission.map.model_copy(update={"seed": None})})
    return build_pool(free, 1, first, 1)
