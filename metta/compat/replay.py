"""Replays as `mettagrid` writes them, version 4: one value per object, or [step, value] where it changes."""

import gzip
import json
import uuid
import zlib
from pathlib import Path
from typing import Any

from metta.compat.simulation import Simulation, SimulatorEventHandler

VERSION = 4
VISION = 11
FIXED = {"orientation": 0, "inventory_max": 0, "color": 0}
NOBODY = -1
WALL = "wall"  # stays where it is


class EpisodeReplay:
    """An episode as it is played."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.step = 0
        self._objects: dict[int, dict[str, list[list[Any]]]] = {}
        self._last: dict[int, dict[str, Any]] = {}  # things as they were: most stay so
        self._teams: dict[str, list[list[Any]]] = {}
        self._capacities = sorted({name for agent in sim.config.game.agents for name in agent.inventory.limits})

    def log_step(self, current_step: int, actions: Any, rewards: Any) -> None:
        """Keep how everything stands after a step."""
        present = self.sim.grid_objects(ignore_types=[WALL] if self.step else [])
        for key, seen in self._objects.items():
            if key not in present and seen["type_name"][0][1] != WALL:
                _note(seen, "alive", self.step, False)
        for key, one in present.items():
            if self._last.get(key) == one and "agent_id" not in one:
                continue
            self._last[key] = one
            seen = self._objects.setdefault(key, {})
            for name, value in self._values(one).items():
                _note(seen, name, self.step, value)
        for team, held in self.sim._c_sim.get_collective_inventories().items():
            _note(self._teams, team, self.step, self._pairs(held))
        self.step += 1

    def _pairs(self, held: dict[str, int]) -> list[list[int]]:
        names = self.sim.resource_names
        return [[names.index(name), amount] for name, amount in held.items() if amount]

    def _values(self, one: dict[str, Any]) -> dict[str, Any]:
        values = {
            "id": one["id"],
            "alive": True,
            "type_name": one["type_name"],
            "location": list(one["location"]),
            "inventory": [list(pair) for pair in one["inventory"].items()],
            "collective_id": one.get("collective_id", NOBODY),
            "tag_ids": one["tag_ids"],
            "inventory_capacities": [],
            **FIXED,
        }
        return {**values, **self._of_agent(one)} if "agent_id" in one else values

    def _of_agent(self, one: dict[str, Any]) -> dict[str, Any]:
        sim, agent = self.sim, one["agent_id"]
        moves, vibes = sim._buffers.actions[agent], sim._vibe_actions[agent]
        limits = sim.config.game.agents[agent].inventory.limits
        most = {
            name: one["inventory_capacities"][sim.resource_names.index(limit.resources[0])]
            for name, limit in limits.items()
        }
        return {
            "is_agent": True,
            "agent_id": agent,
            "vision_size": VISION,
            "action_id": int(vibes or moves),
            "action_param": 0,
            "action_success": sim.action_success[agent],
            "current_reward": float(sim.agent(agent).step_reward),
            "total_reward": float(sim.agent(agent).episode_reward),
            "freeze_remaining": one["freeze_remaining"],
            "is_frozen": one["is_frozen"],
            "freeze_duration": one["freeze_duration"],
            "group_id": one["group_id"],
            "vibe_id": one["vibe"],
            "vibe": one["vibe"],
            "inventory_capacities": [[self._capacities.index(name), value] for name, value in most.items()],
        }

    def get_replay_data(self) -> dict[str, Any]:
        """The whole replay, ready for JSON. The simulation must not be closed yet."""
        sim, info = self.sim, self.sim.policy_env_info
        stats = sim.episode_stats
        teams = list(self._teams)
        return {
            "version": VERSION,
            "action_names": sim.action_names,
            "item_names": sim.resource_names,
            "type_names": sim.object_type_names,
            "collective_names": teams,
            "capacity_names": self._capacities,
            "tags": {name: index for index, name in enumerate(info.tags)},
            "map_size": [sim.map_width, sim.map_height],
            "num_agents": sim.num_agents,
            "max_steps": self.step,
            "mg_config": sim.config.model_dump(mode="json"),
            "policy_env_interface": info.model_dump(mode="json"),
            "objects": [{name: _short(seen) for name, seen in one.items()} for one in self._objects.values()],
            "infos": {
                "game": stats["game"],
                "agent": sim._context.get("infos", {}).get("agent", {}),
                "collective": stats["collective"],
                "attributes": sim._context.get("infos", {}).get("attributes", {}),
                "episode_rewards": sim.episode_rewards.tolist(),
            },
            "collective_inventory": [[[step, held] for step, held in self._teams[team] if held] for team in teams],
        }

    def write_replay(self, path: str | Path) -> None:
        """Write a file that ends in .z (zlib) or .gz. Raises ValueError for another."""
        packers = {".z": zlib.compress, ".gz": gzip.compress}
        suffix = Path(path).suffix
        if suffix not in packers:
            raise ValueError(f"{path}: a replay ends in {' or '.join(packers)}")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(packers[suffix](json.dumps(self.get_replay_data()).encode()))


def _note(seen: dict[str, list[list[Any]]], name: str, step: int, value: Any) -> None:
    """Keep a value where it is another than before."""
    past = seen.setdefault(name, [])
    if not past or past[-1][1] != value:
        past.append([step, value])


def _short(past: list[list[Any]]) -> Any:
    """A value that never changed alone, else all of them with their steps."""
    return past[0][1] if len(past) == 1 else past


class InMemoryReplayWriter(SimulatorEventHandler):
    """Keeps the replays of finished episodes."""

    def __init__(self) -> None:
        super().__init__()
        self._current: EpisodeReplay | None = None
        self._completed: list[EpisodeReplay] = []

    def on_episode_start(self) -> None:
        self._current = EpisodeReplay(self._sim)

    def on_step(self) -> None:
        if self._current:
            self._current.log_step(self._sim.current_step, self._sim._buffers.actions, self._sim._buffers.rewards)

    def on_episode_end(self) -> None:
        if self._current:
            self._completed.append(self._current)

    def get_completed_replays(self) -> list[EpisodeReplay]:
        return list(self._completed)


class ReplayLogWriter(InMemoryReplayWriter):
    """Writes each finished episode to a file `<uuid>.json.z` in a folder."""

    def __init__(self, replay_dir: str | Path) -> None:
        super().__init__()
        self._folder = Path(replay_dir)
        self._paths: dict[str, str] = {}

    def on_episode_end(self) -> None:
        if self._current:
            name = str(uuid.uuid4())
            path = self._folder / f"{name}.json.z"
            self._current.write_replay(path)
            self._paths[name] = self._sim._context["replay_url"] = str(path)

    def get_written_replay_urls(self) -> dict[str, str]:
        """Paths by the episode's id."""
        return dict(self._paths)

    def get_written_replay_paths(self) -> list[str]:
        return list(self._paths.values())
