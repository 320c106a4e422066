"""Episodes played with agents' policies of `mettagrid`: `Rollout`, and the functions built on it."""

import json
import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metta.compat.config import MettaGridConfig
from metta.compat.environment import PolicyEnvInterface
from metta.compat.errors import NotPlayableError
from metta.compat.handlers import StatsTracker, StatsWriter, TimeAveragedStatsHandler
from metta.compat.loading import initialize_or_load_policy
from metta.compat.map_config import AsciiMapBuilderConfig
from metta.compat.policy import AgentPolicy, PolicySpec
from metta.compat.replay import EpisodeReplay, InMemoryReplayWriter
from metta.compat.simulation import Simulator, SimulatorEventHandler
from metta.compat.text_map import map_text

MODES = ("unicode", "log", "none", None)
WINDOWS = ("gui", "vibescope")
logger = logging.getLogger(__name__)


class Renderer(SimulatorEventHandler):
    """A handler that draws; `render` is called between the agents' choices and the step."""

    def render(self) -> None:
        """Draw how the simulation stands."""


class TextRenderer(Renderer):
    """Prints the map after every step."""

    def on_step(self) -> None:
        print(f"Step {self._sim.current_step}\n{map_text(self._sim)}")


class Rollout:
    """One episode, step by step. Fewer policies than agents: the rest stand still."""

    def __init__(
        self,
        config: MettaGridConfig,
        policies: Sequence[AgentPolicy],
        policy_names: Sequence[str] | None = None,
        max_action_time_ms: int | None = 10000,
        render_mode: str | None = None,
        seed: int = 0,
        event_handlers: Sequence[SimulatorEventHandler] | None = None,
        stats_writer: StatsWriter | None = None,
        autostart: bool = False,
        tracer: Any = None,
    ) -> None:
        """`max_action_time_ms`: a policy that takes longer stands still for that step."""
        if render_mode not in MODES:
            raise NotPlayableError(
                f"render_mode={render_mode}: here it is unicode or none; cogames play shows a window"
            )
        self._config, self._policies, self._simulator = config, list(policies), Simulator()
        self._most_ms = max_action_time_ms or 10000
        self._renderer = TextRenderer() if render_mode == "unicode" else None
        handlers = [self._renderer, StatsTracker(stats_writer) if stats_writer else None, *(event_handlers or [])]
        for handler in filter(None, handlers):
            self._simulator.add_event_handler(handler)
        self._sim = self._simulator.new_simulation(config, seed)
        self._agents = self._sim.agents()
        self._sim._context["policies"] = self._policies
        for policy in self._policies:
            policy.reset()
        self._names = list(policy_names or [type(policy).__name__ for policy in self._policies])
        self._policy_infos: dict[int, dict[str, Any]] = {}
        self.timeout_counts = [0] * len(self._policies)

    def step(self) -> None:
        """Every policy chooses in turn, then the world moves."""
        for index, policy in enumerate(self._policies):
            agent, start = self._agents[index], time.perf_counter()
            action = policy.step(agent.observation)
            taken = 1000 * (time.perf_counter() - start)
            if taken > self._most_ms:
                logger.warning("agent %d took %.0f ms, the limit is %d ms", index, taken, self._most_ms)
                self.timeout_counts[index] += 1
                action = "noop"
            agent.set_action(action)
            self._policy_infos[index] = {"policy_name": self._names[index], **(policy.infos or {})}
        self._sim._context["policy_infos"] = self._policy_infos
        if self._renderer:
            self._renderer.render()
        self._sim.step()

    def is_done(self) -> bool:
        return self._sim.is_done()

    def run_until_done(self) -> None:
        while not self.is_done():
            self.step()


@dataclass
class EpisodeResult:
    """What an episode came to."""

    rewards: list[float]  # by agent
    action_timeouts: list[int]  # by agent
    stats: dict[str, Any]
    steps: int
    time_averaged_game_stats: dict[str, float]


def resolve_env_for_seed(env: MettaGridConfig, seed: int) -> MettaGridConfig:
    """A copy whose map has a seed: its own, or this one. A drawn map needs none."""
    copy = env.model_copy(deep=True)
    builder = copy.game.map_builder
    if not isinstance(builder, AsciiMapBuilderConfig) and builder.seed is None:
        builder.seed = seed
    return copy


def run_episode_local(
    *,
    policy_specs: Sequence[PolicySpec],
    assignments: Sequence[int],
    env: MettaGridConfig,
    results_path: str | Path | None = None,
    replay_path: str | Path | None = None,
    debug_dir: str | Path | None = None,
    seed: int = 0,
    max_action_time_ms: int = 10000,
    device: str | None = None,
    render_mode: str | None = None,
    autostart: bool = False,
) -> tuple[EpisodeResult, EpisodeReplay | None]:
    """Play an episode: `assignments` gives each agent the number of its policy.

    Raises ValueError for assignments of another length, or of a policy that there is not.
    """
    env = resolve_env_for_seed(env, seed)
    if len(assignments) != env.game.num_agents or not all(0 <= one < len(policy_specs) for one in assignments):
        raise ValueError(
            f"assignments={list(assignments)}: {env.game.num_agents} numbers of {len(policy_specs)} policies"
        )
    info = PolicyEnvInterface.from_mg_cfg(env)
    policies = [initialize_or_load_policy(info, spec, device) for spec in policy_specs]
    agents = [policies[one].agent_policy(agent) for agent, one in enumerate(assignments)]
    averages, recorder = TimeAveragedStatsHandler(), InMemoryReplayWriter()
    handlers: list[SimulatorEventHandler] = [averages, *([recorder] if replay_path else [])]
    names = [policy_specs[one].name for one in assignments]
    rollout = Rollout(env, agents, names, max_action_time_ms, render_mode, seed, handlers)
    rollout.run_until_done()
    sim = rollout._sim
    result = EpisodeResult(
        rewards=sim.episode_rewards.tolist(),
        action_timeouts=rollout.timeout_counts,
        stats=sim.episode_stats,
        steps=sim.current_step,
        time_averaged_game_stats=averages.time_averaged_game_stats,
    )
    if results_path:
        Path(results_path).write_text(json.dumps(asdict(result)))
    replay = next(iter(recorder.get_completed_replays()), None)
    if replay and replay_path:
        replay.write_replay(replay_path)
    return result, replay


def play(
    console: Any,
    env_cfg: MettaGridConfig,
    policy_spec: PolicySpec,
    game_name: str,
    seed: int = 42,
    device: str = "cpu",
    render_mode: str | None = "gui",
    save_replay: Path | None = None,
    save_replay_file: Path | None = None,
    autostart: bool = False,
) -> None:
    """Play an episode with one policy and say how it went. Where a window is asked for, say what shows one."""
    if render_mode in WINDOWS:
        console.print(f"render_mode={render_mode}: metta opens no window here; cogames play -r gui does")
        render_mode = "none"
    folder = Path(save_replay) / f"{uuid.uuid4()}.json.z" if save_replay else None
    replay_path = Path(save_replay_file) if save_replay_file else folder
    result, _ = run_episode_local(
        policy_specs=[policy_spec],
        assignments=[0] * env_cfg.game.num_agents,
        env=env_cfg,
        replay_path=replay_path,
        seed=seed,
        device=device,
        render_mode=render_mode,
        autostart=autostart,
    )
    console.print(f"Episode Complete! {game_name}\nSteps: {result.steps}", highlight=False)
    console.print(f"Score per cog: {sum(result.rewards) / len(result.rewards):.2f}", highlight=False)
    if replay_path:
        console.print(f"Replay saved: cogames replay {replay_path}", soft_wrap=True, highlight=False)


class PolicySpecWithProportion(PolicySpec):
    """A policy and its share of the agents."""

    proportion: float = 1.0

    def to_policy_spec(self) -> PolicySpec:
        return PolicySpec(class_path=self.class_path, data_path=self.data_path, init_kwargs=self.init_kwargs)


def parse_policy_spec(spec: str, device: str | None = None) -> PolicySpecWithProportion:
    """`class=NAME[,data=FILE][,proportion=X][,kw.name=value]`, or NAME alone. Raises ValueError for another form."""
    fields: dict[str, Any] = {"init_kwargs": {}}
    for number, part in enumerate(spec.split(",")):
        key, equals, value = part.strip().partition("=")
        if not equals and number == 0 and key:
            key, value = "class", key
        if key == "class" and value:
            fields["class_path"] = value
        elif key == "data" and value:
            fields["data_path"] = str(Path(value).absolute())
        elif key == "proportion" and value:
            fields["proportion"] = float(value)
        elif key.startswith("kw.") and value:
            fields["init_kwargs"][key.removeprefix("kw.").replace("-", "_")] = value
        else:
            raise ValueError(f"cannot read '{part}'; the form is class=NAME[,data=FILE][,proportion=X][,kw.name=value]")
    if "class_path" not in fields:
        raise ValueError(f"'{spec}' names no class; the form is class=NAME[,data=FILE][,proportion=X][,kw.name=value]")
    if device is not None:
        fields["init_kwargs"]["device"] = device
    return PolicySpecWithProportion(**fields)
