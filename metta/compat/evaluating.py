"""`evaluate` of `cogames`, and what it plays: several episodes whose agents are dealt to policies anew."""

import json
import math
import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from metta.compat.config import MettaGridConfig
from metta.compat.policy import PolicySpec
from metta.compat.rollout import run_episode_local


class EpisodeRolloutResult(BaseModel):
    """An episode, and whose the agents were."""

    assignments: list[int]
    rewards: list[float]
    action_timeouts: list[int]
    stats: dict[str, Any]
    replay_path: str | None
    steps: int
    max_steps: int
    time_averaged_game_stats: dict[str, float] = {}


class MultiEpisodeRolloutResult(BaseModel):
    episodes: list[EpisodeRolloutResult]


class MultiEpisodeRolloutPolicySummary(BaseModel):
    """One policy in one mission. The metrics are sums over the episodes per agent, as there."""

    agent_count: int
    avg_agent_metrics: dict[str, float]
    action_timeouts: int


class MultiEpisodeRolloutSummary(BaseModel):
    """One mission; rewards by episode are means by policy, None for one without agents."""

    episodes: int
    policy_summaries: list[MultiEpisodeRolloutPolicySummary]
    avg_game_stats: dict[str, float]
    avg_time_averaged_game_stats: dict[str, float] = {}
    per_episode_per_policy_avg_rewards: dict[int, list[float | None]]


def run_multi_episode_rollout(
    *,
    policy_specs: Sequence[PolicySpec],
    assignments: Sequence[int],
    env_cfg: MettaGridConfig,
    episodes: int,
    seed: int,
    max_action_time_ms: int,
    replay_dir: str | Path | None = None,
    create_replay_dir: bool = False,
    rng: random.Random | None = None,
    device: str | None = None,
    on_progress: Callable[[int, EpisodeRolloutResult], None] | None = None,
    shuffle_assignments: bool = True,
) -> tuple[MultiEpisodeRolloutResult, list[str]]:
    """Play episodes with the seeds from `seed` on; the paths of their replays. Raises ValueError for no such folder."""
    if replay_dir is not None and create_replay_dir:
        Path(replay_dir).mkdir(parents=True, exist_ok=True)
    if replay_dir is not None and not Path(replay_dir).is_dir():
        raise ValueError(f"Replay directory does not exist: {replay_dir}")
    drawn, rng = list(assignments), rng or random.Random(seed)
    played: list[EpisodeRolloutResult] = []
    for number in range(episodes):
        if shuffle_assignments:
            rng.shuffle(drawn)
        path = None if replay_dir is None else Path(replay_dir) / f"{uuid.uuid4()}.json.z"
        result, _ = run_episode_local(
            policy_specs=policy_specs, assignments=list(drawn), env=env_cfg, replay_path=path, seed=seed + number,
            max_action_time_ms=max_action_time_ms, device=device,
        )  # fmt: skip
        played.append(
            EpisodeRolloutResult(
                assignments=list(drawn),
                replay_path=None if path is None else str(path),
                max_steps=env_cfg.game.max_steps,
                **vars(result),
            )
        )
        if on_progress:
            on_progress(number, played[-1])
    return MultiEpisodeRolloutResult(episodes=played), [one.replay_path for one in played if one.replay_path]


def build_multi_episode_rollout_summaries(
    rollout_results: Sequence[MultiEpisodeRolloutResult], num_policies: int
) -> list[MultiEpisodeRolloutSummary]:
    """A summary of each mission's episodes."""
    return [_summary(result.episodes, num_policies) for result in rollout_results]


def _summary(episodes: Sequence[EpisodeRolloutResult], policies: int) -> MultiEpisodeRolloutSummary:
    rewards = {
        number: [_mean(_of(policy, one.assignments, one.rewards)) for policy in range(policies)]
        for number, one in enumerate(episodes)
    }
    return MultiEpisodeRolloutSummary(
        episodes=len(episodes),
        policy_summaries=[_policy_summary(episodes, policy) for policy in range(policies)],
        avg_game_stats=_totals((one.stats["game"] for one in episodes), len(episodes)),
        avg_time_averaged_game_stats=_totals((one.time_averaged_game_stats for one in episodes), len(episodes)),
        per_episode_per_policy_avg_rewards=rewards,
    )


def _policy_summary(episodes: Sequence[EpisodeRolloutResult], policy: int) -> MultiEpisodeRolloutPolicySummary:
    agents = episodes[0].assignments.count(policy)
    own = (stats for one in episodes for stats in _of(policy, one.assignments, one.stats["agent"]))
    timeouts = sum(sum(_of(policy, one.assignments, one.action_timeouts)) for one in episodes)
    metrics = dict(sorted(_totals(own, agents).items())) if agents else {}
    return MultiEpisodeRolloutPolicySummary(agent_count=agents, avg_agent_metrics=metrics, action_timeouts=timeouts)


def _of(policy: int, assignments: Sequence[int], values: Sequence[Any]) -> list[Any]:
    return [value for whose, value in zip(assignments, values, strict=True) if whose == policy]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _totals(parts: Iterable[dict[str, float]], divisor: int) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(float)
    for part in parts:
        for name, value in part.items():
            totals[name] += float(value) / divisor
    return dict(totals)


def allocate_counts(total: int, weights: Sequence[float]) -> list[int]:
    """How many of so many agents each weight gets, by largest remainder; one may get none."""
    ideals = [total * weight / sum(weights) for weight in weights]
    counts = [math.floor(ideal) for ideal in ideals]
    by_remainder = sorted(range(len(weights)), key=lambda index: ideals[index] - counts[index], reverse=True)
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    return counts


def evaluate(
    console: Console,
    missions: list[tuple[str, MettaGridConfig]],
    policy_specs: list[PolicySpec],
    proportions: list[float],
    episodes: int,
    action_timeout_ms: int,
    seed: int = 42,
    device: str | None = None,
    output_format: Literal["yaml", "json"] | None = None,
    save_replay: str | None = None,
) -> list[MultiEpisodeRolloutSummary]:
    """Play the policies together in every mission, say how it went, and return the summaries.

    Raises ValueError without missions or policies, and for proportions that are not those of the policies.
    """
    if not missions or not policy_specs:
        raise ValueError(f"At least one {'policy' if missions else 'mission'} must be provided for evaluation.")
    if len(proportions) != len(policy_specs) or sum(proportions) <= 0:
        raise ValueError("Proportions must match policy count and sum to a positive value.")
    console.print(f"Evaluating {len(policy_specs)} policies over {episodes} episodes per mission")
    results, replays = [], []
    for name, config in missions:
        counts = allocate_counts(config.game.num_agents, proportions)
        result, paths = run_multi_episode_rollout(
            policy_specs=policy_specs,
            assignments=[policy for policy, count in enumerate(counts) for _ in range(count)],
            env_cfg=config,
            episodes=episodes,
            seed=seed,
            max_action_time_ms=action_timeout_ms,
            replay_dir=save_replay,
            create_replay_dir=True,
            device=device,
            on_progress=lambda number, _, name=name: console.print(f"{name}: {number + 1} of {episodes} episodes"),
        )
        results.append(result)
        replays += paths
    summaries = build_multi_episode_rollout_summaries(results, len(policy_specs))
    _tell(console, [name for name, _ in missions], policy_specs, summaries, output_format)
    for path in replays:
        console.print(f"cogames replay {path}", soft_wrap=True, highlight=False)
    return summaries


def _tell(
    console: Console,
    missions: list[str],
    specs: list[PolicySpec],
    summaries: list[MultiEpisodeRolloutSummary],
    output_format: str | None,
) -> None:
    if output_format:
        told = [
            {"mission_name": name, "mission_summary": summary.model_dump(mode="json")}
            for name, summary in zip(missions, summaries, strict=True)
        ]
        data = {"missions": told}
        text = json.dumps(data, indent=2) if output_format == "json" else yaml.safe_dump(data, sort_keys=False)
        console.print(text, soft_wrap=True, highlight=False, markup=False)
        return
    table = Table(title="Average reward per agent")
    for column in ("Mission", "Episode", *(spec.name for spec in specs)):
        table.add_column(column, justify="left" if column == "Mission" else "right")
    for name, summary in zip(missions, summaries, strict=True):
        for number, means in summary.per_episode_per_policy_avg_rewards.items():
            table.add_row(name, str(number), *("-" if mean is None else f"{mean:.2f}" for mean in means))
    console.print(table)
    for spec, *own in zip(specs, *(summary.policy_summaries for summary in summaries), strict=True):
        if late := sum(one.action_timeouts for one in own):
            console.print(f"{spec.name}: {late} actions came too late")
