"""What is different about runs: settings, code, and what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metta.runs.run import Run, flat

# Names of the run itself and where it lies; they always differ and say nothing.
OWN = ("run", "wandb.", "system.data_dir")
EMPTY: tuple[object, ...] = (None, {}, [], "")  # as good as a key that is not there


@dataclass(frozen=True)
class Comparison:
    """Rows of one value per run, in the order of `names`."""

    names: list[str]
    settings: dict[str, list[Any]]  # only those that differ
    code: dict[str, list[Any]]
    metrics: dict[str, list[float | None]]


def compare(runs: Sequence[Run], metrics: Sequence[str]) -> Comparison:
    """Settings that differ, the code, and the newest values of the metrics."""
    trees = [dict(settings(run)) for run in runs]
    keys = list(dict.fromkeys(key for tree in trees for key in tree))
    rows = {key: [tree.get(key) for tree in trees] for key in keys}
    return Comparison(
        names=[run.name for run in runs],
        settings={key: values for key, values in rows.items() if any(value != values[0] for value in values)},
        code={key: [run.code.get(key) for run in runs] for key in ("commit", "dirty", "version")},
        metrics={metric: [run.metrics.get(metric) for run in runs] for metric in metrics},
    )


def settings(run: Run) -> list[tuple[str, Any]]:
    """Dotted paths and values of the tree, less what is empty or only names the run."""
    return [(key, value) for key, value in flat(run.config) if value not in EMPTY and not key.startswith(OWN)]
