"""Runs in a notebook: settings and metrics as pandas data frames (extra `notebooks`), curves as they grow."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metta.common.errors import MissingExtraError, UserError
from metta.common.jsonl import read_rows
from metta.eval.curves import STEP, plot_curves
from metta.rl.run.metrics import EPOCH
from metta.rl.run.run_folder import RunFolder
from metta.runs.compare import settings
from metta.runs.local import LocalRuns
from metta.runs.run import SCORE, SCORE_NOW, Run, checked_metrics

if TYPE_CHECKING:
    from pandas import DataFrame

USUAL = (SCORE, SCORE_NOW)
POLL = 5.0  # seconds


def run_frame(*names: str, folder: str | Path = "train_dir") -> "DataFrame":
    """A row per run, by name or pattern (all where none is given): state, agent-steps, its newest checkpoint, every
    setting (`settings.PATH`) and the newest value of every metric.

    Raises:
        UserError: no such folder or run, or pandas is missing.
    """
    runs = LocalRuns(Path(folder)).chosen(list(names) or ["*"])
    rows = [
        {
            "state": run.state,
            "created": run.created,
            "agent_steps": run.steps,
            "uri": run.uri,
            **{f"settings.{path}": value for path, value in settings(run)},
            **run.metrics,
        }
        for run in runs
    ]
    return _pandas().DataFrame(rows, index=_pandas().Index([run.name for run in runs], name="run"))


def metric_frame(*names: str, folder: str | Path = "train_dir") -> "DataFrame":
    """A row per run and epoch, by name or pattern (all where none is given): every metric of `metrics.jsonl`, float64,
    with the index `run`, `agent_step`. What an epoch did not report is NaN.

    Raises:
        UserError: no such folder or run, or pandas is missing.
    """
    pandas = _pandas()
    frames = {}
    for run in LocalRuns(Path(folder)).chosen(list(names) or ["*"]):
        path = RunFolder(Path(run.place)).metrics
        rows = list(read_rows(path)) if path.is_file() else []
        frames[run.name] = pandas.DataFrame(rows, columns=None if rows else [STEP, EPOCH]).set_index(STEP)
    return pandas.concat(frames, names=["run", "agent_step"]).apply(pandas.to_numeric, errors="coerce")


@dataclass(frozen=True)
class Curves:
    """Learning curves that notebooks display."""

    picture: bytes = field(repr=False)  # PNG
    running: bool  # whether more of them is to come

    def _repr_png_(self) -> bytes:
        return self.picture


def show_curves(*names: str, metrics: Sequence[str] | None = None, folder: str | Path = "train_dir") -> Curves:
    """The curves of runs, by name or pattern, as they are now: reward where `metrics` names none.

    Raises:
        UserError: no such run, or a metric that none of them has.
    """
    source = LocalRuns(Path(folder))
    runs = source.chosen(list(names) or ["*"])
    wanted = checked_metrics(runs, metrics, USUAL)
    histories = [(run.name, source.history(run, wanted)) for run in runs]
    curves = {metric: {name: history[metric] for name, history in histories} for metric in wanted}
    picture = BytesIO()
    plot_curves(curves, ", ".join(_told(run) for run in runs), picture)
    return Curves(picture.getvalue(), any(run.state == "running" for run in runs))


def follow_curves(
    *names: str,
    metrics: Sequence[str] | None = None,
    folder: str | Path = "train_dir",
    until: Callable[[], bool] | None = None,
) -> None:
    """Draw the curves of runs anew every few seconds, in one place of the notebook: while `until` is not yet true,
    which may be before they have begun, else while one of them is running. Interrupting the cell leaves the picture.

    Raises:
        UserError: as `show_curves`, when no more is to come.
    """
    from IPython.display import display

    handle: Any = None
    while True:
        over = until is not None and until()
        try:
            shown = show_curves(*names, metrics=metrics, folder=folder)
        except UserError:
            if until is None or over:
                raise
        else:
            if handle:
                handle.update(shown)
            else:
                handle = display(shown, display_id=True)
            over = over or (until is None and not shown.running)
        if over:
            return
        time.sleep(POLL)


def _told(run: Run) -> str:
    return f"{run.name} ({run.state}, {run.steps:,} agent-steps)"


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise MissingExtraError("pandas", "notebooks") from None
    return pandas
