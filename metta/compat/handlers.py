"""Event handlers of `mettagrid`: statistics of episodes, and the first episode cut short."""

import time
from abc import ABC, abstractmethod
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from metta.compat.config import AgentConfig, StatValue
from metta.compat.simulation import SimulatorEventHandler
from metta.compat.step_infos import attributes

DIVERSITIES = ("gain_diversity", "deposit_diversity")


class StatsWriter(ABC):
    """Keeps what `StatsTracker` found."""

    def __init__(self, dir: Path | None = None) -> None:
        self.dir = dir

    @abstractmethod
    def record_episode(
        self,
        attributes: dict[str, str],
        agent_metrics: dict[int, dict[str, float]],
        agent_groups: dict[int, int],
        step_count: int,
        replay_url: str | None,
        created_at: datetime,
    ) -> int: ...

    def close(self) -> None:  # noqa: B027 - a writer may have nothing to close
        """Nothing comes any more."""


class NoopStatsWriter(StatsWriter):
    """Keeps nothing."""

    def record_episode(self, *args: Any, **kwargs: Any) -> int:
        return 0


class StatsTracker(SimulatorEventHandler):
    """Puts the statistics of an episode into its last infos, and tells a writer."""

    def __init__(self, stats_writer: StatsWriter) -> None:
        super().__init__()
        self._writer = stats_writer
        self._began = datetime.now()
        self._rewards: dict[str, float] = {}
        self._deposits: dict[str, float] = {}

    def on_episode_start(self) -> None:
        self._sim._context["infos"] = {}
        self._began = datetime.now()

    def on_episode_end(self) -> None:
        sim, stats = self._sim, self._sim.episode_stats
        label = sim.config.label
        agents = [_of_agent(*one) for one in zip(sim.config.game.agents, stats["agent"], strict=False)]
        self._rewards[label] = float(sim.episode_rewards.mean())
        self._deposits[label] = stats["game"].get("chest.heart.deposited", 0.0)
        names = dict.fromkeys(name for own in agents for name in own)
        took = (datetime.now() - self._began).total_seconds()
        sim._context["infos"] |= {
            "game": stats["game"],
            "agent": {name: sum(own.get(name, 0.0) for own in agents) / len(agents) for name in names},
            "per_agent": {str(agent): dict(own) for agent, own in enumerate(agents)},
            "collective": _of_teams(sim.config.game.agents, stats["collective"]),
            "per_label_rewards": self._rewards,
            "per_label_chest_deposits": self._deposits,
            "attributes": {**attributes(sim), "completion_time": time.time()},
            "timing_per_epoch": {"msec/global": 1000 * took},
            "timing_cumulative": {"active_frac/global": 1.0},
        }
        if type(self._writer) is not NoopStatsWriter:  # the usual one, for which nothing need be gathered
            self._record(agents)

    def _record(self, agents: list[dict[str, float]]) -> None:
        sim = self._sim
        metrics = {agent: {"reward": float(sim.episode_rewards[agent]), **own} for agent, own in enumerate(agents)}
        groups = {one["agent_id"]: one["agent:group"] for one in sim.grid_objects(ignore_types=["wall"]).values()
                  if "agent_id" in one}  # fmt: skip
        config = _flat("config", sim.config.model_dump(mode="json"))
        self._writer.record_episode(
            config, metrics, groups, sim.current_step, sim._context.get("replay_url"), self._began
        )

    def on_close(self) -> None:
        self._writer.close()


def _rewarded(config: AgentConfig, scope: str) -> dict[str, float]:
    """Zeros for the statistics that an agent's rewards read: they are told though nothing happened."""
    values = [value for one in config.rewards.values() for value in (*one.nums, *one.denoms)]
    return {value.name: 0.0 for value in values if isinstance(value, StatValue) and value.scope == scope}


def _of_agent(config: AgentConfig, did: dict[str, float]) -> dict[str, float]:
    """Diversities are told only where they are asked for."""
    asked = {one["stat_name"] for one in config.log_sum_stats}
    kept = {name: value for name, value in did.items() if name in asked or name not in DIVERSITIES}
    return _rewarded(config, "agent") | kept


def _of_teams(agents: list[AgentConfig], did: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    rewarded = {config.collective: _rewarded(config, "collective") for config in agents}
    return {name: rewarded.get(name, {}) | values for name, values in did.items()}


def _flat(path: str, value: Any) -> dict[str, str]:
    """Leaves of a tree as text by their dotted paths."""
    if not isinstance(value, dict):
        return {path: str(value)}
    return {key: text for name, one in value.items() for key, text in _flat(f"{path}.{name}", one).items()}


class EarlyResetHandler(SimulatorEventHandler):
    """Cuts the first played episode at a random step, so that environments do not end together."""

    def __init__(self) -> None:
        super().__init__()
        self._step: int | None = None
        self._drawn = False

    def on_episode_start(self) -> None:
        if not self._drawn:
            self._drawn = True
            self._step = int(np.random.randint(1, self._sim.config.game.max_steps + 1))

    def on_step(self) -> None:
        if self._step is not None and self._sim.current_step >= self._step:
            self._step = None
            self._sim.end_episode()


class TimeAveragedStatsHandler(SimulatorEventHandler):
    """Means over an episode's steps of the game's statistics."""

    def __init__(self) -> None:
        super().__init__()
        self._sums: dict[str, float] = {}
        self._steps = 0

    def on_episode_start(self) -> None:
        self._sums, self._steps = {}, 0

    def on_step(self) -> None:
        self._steps += 1
        for name, value in self._sim.episode_stats["game"].items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    @property
    def time_averaged_game_stats(self) -> dict[str, float]:
        return {name: total / max(1, self._steps) for name, total in self._sums.items()}
