"""What a run reports, and the file that keeps it: one JSON object per epoch in metrics.jsonl.

Names are those of W&B dashboards: `losses/…`, `env_agent/<stat>`, `env_collective/<team>/<stat>`, `overview/…`.
"""

import math
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metta.common.defaults import SCORE
from metta.common.errors import UserError
from metta.common.jsonl import RowFile, cut_after, is_number, last_rows, read_rows
from metta.common.logging import warn
from metta.game.engine.batch import Episode
from metta.game.statistics import episode_means
from metta.rl.world import World

Metrics = dict[str, float]
EPOCH = "metric/epoch"
SCORE_NOW = "overview/reward_per_1000_steps"  # of all steps of an epoch, whether their episodes have ended or not
HEARTS = "env_agent/heart.gained"
MOST_SPANS = 8  # of missing epochs that are named
EARLIER = 200  # lines in which a resumed run looks for the names that it has reported
STATISTICS = ("env_agent/", "env_collective/", "env_game/")


class EpisodeMetrics:
    """Means over finished episodes and their agents.

    A statistic appears in an episode only once something touched it. Here, whoever has been seen once, or is always
    of interest, is reported as 0 where it is missing: a curve must not have holes.
    """

    ALWAYS = ("heart.gained", "junction.aligned_by_agent", "junction.scrambled_by_agent", "death")
    ALWAYS_OF_TEAMS = ("aligned.junction.held", "aligned.junction.gained")

    @classmethod
    def of_game(cls, teams: Iterable[str]) -> tuple[str, ...]:
        """Names that are always of interest in the game."""
        own = (f"env_agent/{name}" for name in cls.ALWAYS)
        return *own, *(f"env_collective/{team}/{name}" for team in teams for name in cls.ALWAYS_OF_TEAMS)

    def __init__(
        self,
        label: str,
        always: Iterable[str],
        earlier: Iterable[dict[str, Any]] = (),
        attributes: Metrics | None = None,
    ) -> None:
        """`always` is reported from the start; `earlier` are the lines that the run has written already; `attributes`
        are those of the environments."""
        self._label = label
        self._attributes = {f"env_attributes/{name}": float(value) for name, value in (attributes or {}).items()}
        self._seen = set(always)
        self._seen |= {name for line in earlier for name in line if name.startswith(STATISTICS)}

    def __call__(self, episodes: Sequence[Episode]) -> Metrics:
        """Metrics of episodes; none at all without episodes."""
        if not episodes:
            return {}
        sums: dict[str, float] = dict.fromkeys(self._seen, 0.0)
        for episode in episodes:
            for name, value in episode_means(episode).items():
                sums[name] = sums.get(name, 0.0) + value
        self._seen |= sums.keys()
        metrics = {name: sums[name] / len(episodes) for name in sorted(sums)}
        reward = float(np.mean([np.mean(episode.returns) for episode in episodes]))
        return {
            SCORE: reward,
            f"{SCORE}/{self._label}": reward,
            "overview/episodes": len(episodes),
            **({"overview/heart_count": metrics[HEARTS]} if HEARTS in metrics else {}),
            f"env_per_label_rewards/{self._label}": reward,
            **self._attributes,
            "env_attributes/steps": float(np.mean([episode.steps for episode in episodes])),
            **metrics,
        }


class Mean:
    """Running means of scalars, kept as tensors so that no device waits for them."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._counts: dict[str, int] = defaultdict(int)

    def add(self, values: dict[str, torch.Tensor]) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] += 1

    def read(self, prefix: str, world: World) -> Metrics:
        """The means, whose parts on all processes add up."""
        if not self._sums:
            return {}
        totals = world.sum(torch.stack([total.double() for total in self._sums.values()])).tolist()
        return {f"{prefix}{name}": total / self._counts[name] for name, total in zip(self._sums, totals, strict=True)}


def timing_metrics(seconds: float, phases: dict[str, float], agent_steps: int) -> Metrics:
    """Shares and milliseconds per phase of one epoch of that many agent-steps, and its rate."""
    metrics = {f"timing_per_epoch/frac/{name}": part / seconds for name, part in phases.items()}
    metrics |= {f"timing_per_epoch/msec/{name}": part * 1000 for name, part in phases.items()}
    rate = agent_steps / seconds
    return {**metrics, "timing_per_epoch/sps": rate, "overview/sps": rate}


def hourly_cost() -> float | None:
    """What the machine costs per hour: the variable METTA_HOURLY_COST. Raise UserError if that is no such number."""
    text = os.environ.get("METTA_HOURLY_COST", "").strip()
    if not text:
        return None
    try:
        cost = float(text)
    except ValueError:
        cost = -1.0
    if not 0 <= cost < math.inf:
        raise UserError(f"METTA_HOURLY_COST={text}: should be what the machine costs per hour, such as 10.0")
    return cost


def cost_metrics(per_hour: float | None, seconds: float, share_done: float) -> Metrics:
    """What so many seconds have cost, and at that rate the whole run."""
    if per_hour is None:
        return {}
    cost = per_hour * seconds / 3600
    return {"monitor/cost": cost, "monitor/cost_projected": cost / max(share_done, 1e-9)}


class MetricsFile:
    """metrics.jsonl: appended line by line, each on its way to the disk before the next epoch begins."""

    def __init__(self, path: Path, epoch: int) -> None:
        """Open it for a run that goes on after `epoch`: later lines, and a torn last one, are dropped. Which epochs are
        missing, damaged or never written, is said."""
        if path.exists():
            cut_after(path, lambda line: is_number(line.get(EPOCH, 0)) and line.get(EPOCH, 0) <= epoch)
        self.earlier = last_rows(path, EARLIER) if path.exists() else []
        self._file = RowFile(path)
        written = {line[EPOCH] for line in read_rows(path) if is_number(line.get(EPOCH))}
        if missing := sorted(set(range(1, epoch + 1)) - written):
            warn(f"{path}: without epochs {_spans(missing)}; the run itself is whole")

    def write(self, metrics: Metrics) -> None:
        """Append one line. A disk that is full costs the line, not the run: raises OSError once, stays usable."""
        self._file.write({name: _json_number(value) for name, value in metrics.items()})

    def write_again(self) -> bool:
        """Make the file anew, with all its lines, if it was deleted or replaced; return whether it was."""
        return self._file.write_again()

    def close(self) -> None:
        self._file.close()


def _spans(numbers: list[int]) -> str:
    """Ascending numbers in words: 3, 5-7."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in spans[:MOST_SPANS]]
    return ", ".join([*shown, *["…"] * (len(spans) > MOST_SPANS)])


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a metrics file, oldest first."""
    return list(read_rows(path))


def _json_number(value: float) -> float | None:
    """JSON has no NaN or infinity."""
    return value if math.isfinite(value) else None
