"""Learning curves from metrics.jsonl: pictures and a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from rich.table import Table

from metta.common.errors import UserError
from metta.common.files import writing
from metta.common.jsonl import Row, is_number, sample_rows
from metta.eval.statistics import show

STEP = "metric/agent_step"
LINES = 4_000  # of a file, spread evenly: more than a picture can show
COLUMNS = 3  # of panels
WIDTH, HEIGHT = 4.6, 3.4  # inches of a panel
Points = Sequence[tuple[float, float]]  # agent-steps and value
# What the best-known metrics are, with units; the rest is called by its name.
CAPTIONS = {
    "overview/reward": "reward per episode",
    "overview/sps": "agent-steps / s",
    "overview/heart_count": "hearts gained per cog and episode",
    "overview/reward_per_1000_steps": "reward per 1,000 agent-steps",
    "env_agent/heart.gained": "hearts gained per cog and episode",
    "env_agent/junction.aligned_by_agent": "junctions aligned per cog and episode",
    "env_collective/cogs/aligned.junction.held": "junctions held x steps per episode",
    "losses/approx_kl": "approximate KL divergence (nats)",
    "losses/entropy": "entropy of the policy (nats)",
    "metric/train_time": "training time (s)",
    "metric/total_time": "total time (s)",
}
UNITS = {"_gb": "GB", "_mb": "MB", "cpu_percent": "% of one core"}


def caption(metric: str) -> str:
    """What stands at the axis of a metric: what it is, with its unit where it has one."""
    if metric in CAPTIONS:
        return CAPTIONS[metric]
    if metric.startswith("timing_per_epoch/msec/"):
        return f"{metric.removeprefix('timing_per_epoch/msec/')} (ms per epoch)"
    if metric.startswith("timing_per_epoch/frac/"):
        return f"{metric.removeprefix('timing_per_epoch/frac/')} (share of the time)"
    unit = next((unit for ending, unit in UNITS.items() if metric.endswith(ending)), None)
    return f"{metric} ({unit})" if unit else metric


def read_curves(path: Path) -> list[Row]:
    """Rows of a metrics.jsonl, oldest first, at most LINES; a line that a crash cut short is left out.

    Raises:
        UserError: no such file, or nothing in it.
    """
    if not path.is_file():
        raise UserError(f"{path}: no metrics, the run has not reported yet")
    rows, _ = sample_rows(path, LINES)
    if not rows:
        raise UserError(f"{path}: holds no metrics yet")
    return rows


def points(rows: list[Row], metric: str) -> list[tuple[float, float]]:
    """Agent-steps and values of a metric, where it was reported."""
    return [(row[STEP], row[metric]) for row in rows if is_number(row.get(metric)) and is_number(row.get(STEP))]


def moving_mean(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Mean over a trailing window of a twentieth of the points, float64."""
    window = max(1, len(values) // 20)
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    return (sums[ends] - sums[starts]) / (ends - starts)


def plot_curves(curves: Mapping[str, Mapping[str, Points]], title: str, path: Path | BinaryIO) -> None:
    """Draw to a PNG one panel per metric: the moving mean of each run, its values faintly behind it.

    `curves` maps each metric to the points of each run, by name; `path` may be a file that is open. Raises UserError if
    the file cannot be written.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure  # not pyplot, whose backend is the notebook's
    from matplotlib.lines import Line2D

    names = list(dict.fromkeys(name for runs in curves.values() for name in runs))
    few = len(names) <= 10
    shades = colormaps["tab10" if few else "turbo"](range(10) if few else np.linspace(0.05, 0.95, len(names)))
    colors = dict(zip(names, shades, strict=False))
    columns = 2 if len(curves) == 4 else min(COLUMNS, len(curves))
    faint = 0.3 if len(names) <= 3 else 0.12
    lines = -(-len(curves) // columns)
    width, height = WIDTH * columns, HEIGHT * lines + 0.4
    across = max(1, int(width / (0.07 * max(map(len, names), default=1) + 0.55)))  # names in a row of the legend
    foot = 0.2 * -(-len(names) // across) + 0.1 if len(names) > 1 else 0.0
    figure = Figure(figsize=(width, height + foot))
    axes = figure.subplots(lines, columns, squeeze=False)
    unit, size = _unit(curves)
    for axis, (metric, runs) in zip(axes.flat, curves.items(), strict=False):
        for name, run in runs.items():
            if run:
                steps, values = np.array(run, np.float64).T
                axis.plot(steps / size, values, linewidth=0.6, alpha=faint, color=colors[name])
                marker = "o" if len(run) == 1 else None
                axis.plot(steps / size, moving_mean(values), linewidth=1.7, color=colors[name], marker=marker)
        axis.set_ylabel(caption(metric), fontsize=9)
        axis.set_xlabel(f"{unit}agent-steps", fontsize=9)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes.flat[len(curves) :]:
        axis.set_visible(False)
    figure.suptitle(title, fontsize=11)
    if foot:
        handles = [Line2D([], [], color=colors[name], linewidth=2.5, label=name) for name in names]
        figure.legend(handles=handles, loc="lower center", ncols=across, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, foot / (height + foot), 1, 1))
    with writing(path):
        figure.savefig(path, dpi=120, format="png")


def _unit(curves: Mapping[str, Mapping[str, Points]]) -> tuple[str, float]:
    """In what agent-steps are counted, and how many that is."""
    most = max((step for runs in curves.values() for run in runs.values() for step, _ in run), default=0)
    return next(
        (unit for unit in (("billion ", 1e9), ("million ", 1e6), ("thousand ", 1e3)) if most >= unit[1]), ("", 1.0)
    )


def curve_table(rows: list[Row], metrics: Sequence[str], lines: int = 10) -> Table:
    """The metrics at about `lines` evenly spaced points; each value is the mean since the line before."""
    table = Table(title="learning curve (means between the lines)")
    table.add_column("agent-steps", justify="right")
    for metric in metrics:
        table.add_column(caption(metric), justify="right")
    size = max(1, -(-len(rows) // lines))
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        cells = []
        for metric in metrics:
            values = [value for _, value in points(part, metric)]
            cells.append(show(sum(values) / len(values)) if values else "–")
        table.add_row(f"{part[-1][STEP]:,.0f}", *cells)
    return table
