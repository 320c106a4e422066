"""Learning curves of a run, from its metrics.jsonl: a picture and a table."""

import json
from pathlib import Path

from rich.table import Table

from metta.common.errors import UserError
from metta.eval.statistics import show

STEP = "metric/agent_step"
Row = dict[str, float]


def read_metrics(path: Path) -> list[Row]:
    """Rows of a metrics.jsonl, oldest first; a line that a crash cut short is left out.

    Raises:
        UserError: no such file, or nothing in it.
    """
    if not path.is_file():
        raise UserError(f"{path}: no metrics, the run has not reported yet")
    rows: list[Row] = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    if not rows:
        raise UserError(f"{path}: holds no metrics yet")
    return rows


def points(rows: list[Row], metric: str) -> tuple[list[float], list[float]]:
    """Agent-steps and values of a metric, where it was reported."""
    kept = [(row[STEP], row[metric]) for row in rows if metric in row and STEP in row]
    return [step for step, _ in kept], [value for _, value in kept]


def moving_mean(values: list[float]) -> list[float]:
    """Mean over a trailing window of a twentieth of the points."""
    window = max(1, len(values) // 20)
    parts = [values[max(0, end - window) : end] for end in range(1, len(values) + 1)]
    return [sum(part) / len(part) for part in parts]


def plot_curves(rows: list[Row], metrics: dict[str, str], title: str, path: Path) -> None:
    """Draw one panel per metric (name: caption) over agent-steps to a PNG: values and their moving mean."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(metrics), figsize=(4.2 * len(metrics), 3.4), squeeze=False)
    for axis, (metric, caption) in zip(axes[0], metrics.items(), strict=True):
        steps, values = points(rows, metric)
        millions = [step / 1e6 for step in steps]
        axis.plot(millions, values, linewidth=0.7, alpha=0.35)
        axis.plot(millions, moving_mean(values), linewidth=1.8, color="C0")
        axis.set_title(caption, fontsize=10)
        axis.set_xlabel("million agent-steps")
        axis.grid(alpha=0.3)
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def curve_table(rows: list[Row], metrics: dict[str, str], lines: int = 10) -> Table:
    """The metrics at about `lines` evenly spaced points; each value is the mean since the line before."""
    table = Table(title="learning curve (means between the lines)")
    table.add_column("agent-steps", justify="right")
    for caption in metrics.values():
        table.add_column(caption, justify="right")
    size = max(1, -(-len(rows) // lines))
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        cells = []
        for metric in metrics:
            values = points(part, metric)[1]
            cells.append(show(sum(values) / len(values)) if values else "–")
        table.add_row(f"{part[-1][STEP]:,.0f}", *cells)
    return table
