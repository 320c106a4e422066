"""What an environment tells with every step, beside what its handlers tell at the end."""

from collections.abc import Sequence
from typing import Any

from metta.compat.simulation import Simulation

ATTRIBUTES = ("seed", "map_w", "map_h", "steps", "max_steps")
KINDS = ("game", "collective", "attributes", "agent")


def attributes(sim: Simulation) -> dict[str, int]:
    """Seed, sizes and steps of an episode."""
    values = sim.seed, sim.map_width, sim.map_height, sim.current_step, sim.mission.max_steps
    return dict(zip(ATTRIBUTES, values, strict=True))


class StepInfos:
    """Picks statistics: `game/<stat>`, `collective/<name>/<stat>`, `attributes/<name>`, `agent/<stat>`."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Raises ValueError for a key of another form."""
        self._keys: list[tuple[str, str, str]] = []  # as it is told, kind, rest
        for key in dict.fromkeys(keys):
            raw = key if key.startswith("agent/") else key.removeprefix("env_")
            kind, _, rest = raw.partition("/")
            if kind not in KINDS or not rest or (kind == "collective" and not all(rest.partition("/"))):
                forms = "game/<stat>, collective/<name>/<stat>, attributes/<name>, agent/<stat>"
                raise ValueError(f"step_info_keys: '{key}' is none of {forms}")
            if kind == "attributes" and rest not in ATTRIBUTES:
                raise ValueError(f"step_info_keys: attributes are {', '.join(ATTRIBUTES)}, not {rest}")
            self._keys.append((raw, kind, rest))

    def __call__(self, sim: Simulation) -> dict[str, Any]:
        infos = dict(sim._context.get("infos", {}))
        if not self._keys:
            return infos
        stats = sim.episode_stats
        rows: dict[int, dict[str, float]] = {agent: {} for agent in range(sim.num_agents)}
        for raw, kind, rest in self._keys:
            if kind == "agent":
                for agent, row in rows.items():
                    row |= _of_agent(sim, stats["agent"][agent], agent, rest)
            elif (value := _of_all(sim, stats, kind, rest)) is not None:
                infos[raw] = float(value)
        if any(rows.values()):
            infos["_per_agent_infos"] = rows
        return infos


def _of_all(sim: Simulation, stats: dict[str, Any], kind: str, rest: str) -> float | None:
    if kind == "attributes":
        return attributes(sim)[rest]
    name, _, stat = rest.partition("/")
    return stats["game"].get(rest) if kind == "game" else stats["collective"].get(name, {}).get(stat)


def _of_agent(sim: Simulation, stats: dict[str, float], agent: int, name: str) -> dict[str, float]:
    rewards = {"reward_step": sim.agent(agent).step_reward, "reward_episode": sim.agent(agent).episode_reward}
    value = rewards.get(name, stats.get(name))
    return {} if value is None else {name: float(value)}
