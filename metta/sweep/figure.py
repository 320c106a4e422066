"""The picture of a sweep: scores by trial, learning curves, parallel coordinates, importance, score against cost."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metta.common.errors import UserError
from metta.common.files import writing
from metta.common.jsonl import sample_rows
from metta.eval.curves import LINES, Points, caption, moving_mean, points
from metta.sweep.results import Found, Results, short
from metta.sweep.storage import open_store

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST = 5  # finished trials for importance
FINISHED, BASELINE, EARLY = "#4c78a8", "#e45756", "#b0b0b0"  # marks of trials; the baseline is a square too


def draw(results: Results, trials_at: Path) -> "Figure":
    """The figure; learning curves are read from the runs in `trials_at`. Raises UserError where nothing has ended."""
    if not any(trial.score is not None for trial in results.trials):
        raise UserError(f"sweep {results.plan.name}: no trial has ended yet")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, ((scores, curves), (parallel, last)) = pyplot.subplots(2, 2, figsize=(14, 9.5))
    _scores(scores, results)
    _curves(curves, results, trials_at)
    _parallel(parallel, results)
    if results.plan.sweep.mode == "pareto":
        _front(last, results)
    else:
        _importance(last, results)
    figure.suptitle(f"sweep {results.plan.name}: {len(results.trials)} trials", fontsize=13)
    figure.tight_layout()
    return figure


def as_svg(figure: "Figure") -> str:
    """The figure as an element of a page."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2]


def save_png(figure: "Figure", path: Path) -> None:
    """Raises UserError where the file cannot be written."""
    with writing(path):
        figure.savefig(path, dpi=110, format="png")


def _colour(trial: Found) -> str:
    return BASELINE if trial.baseline else FINISHED if trial.state == "finished" else EARLY


def _scores(axis: "Axes", results: Results) -> None:
    """Score by trial, and the best so far."""
    from matplotlib.ticker import MaxNLocator

    known = [trial for trial in results.trials if trial.score is not None]
    for trial in known:
        low, high = trial.ci95
        if low is not None and high is not None:
            axis.plot([trial.number] * 2, [low, high], color=_colour(trial), linewidth=1.2)
        axis.plot(trial.number, trial.score or 0.0, "s" if trial.baseline else "o", color=_colour(trial), markersize=7)
    done = [trial for trial in known if trial.state == "finished"]
    pick = np.maximum if results.plan.sweep.objective.higher_is_better else np.minimum
    if done:
        best = pick.accumulate([trial.score or 0.0 for trial in done])
        axis.step([trial.number for trial in done], best, where="post", color="#54a24b", linewidth=1.6)
    for colour, marker, name in (
        (BASELINE, "s", "the defaults"), (FINISHED, "o", "finished"), (EARLY, "o", "stopped early"),
    ):  # fmt: skip
        axis.plot([], [], marker, color=colour, label=name)
    axis.plot([], [], color="#54a24b", label="best so far")
    axis.legend(fontsize=8, frameon=False)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    _label(axis, "Score of each trial", "trial", caption(results.plan.sweep.objective.metric))


def _curves(axis: "Axes", results: Results, trials_at: Path) -> None:
    """Learning curves of the runs: the best, the defaults, and the others behind them."""
    best = results.finished[0].number if results.finished else None
    metric = results.plan.sweep.objective.metric
    for trial in sorted(results.trials, key=lambda one: (one.number == best, one.baseline)):
        run = _points(trials_at / trial.run / "metrics.jsonl", metric)
        if not run:
            continue
        steps, values = np.array(run, np.float64).T
        stands_out = trial.number == best or trial.baseline
        name = f"trial {trial.number}, the best" if trial.number == best else "the defaults" if trial.baseline else None
        colour = BASELINE if trial.baseline else FINISHED if trial.number == best else EARLY
        axis.plot(steps, moving_mean(values), color=colour, linewidth=2.2 if stands_out else 0.9, label=name)
    for rung in results.plan.rungs:
        axis.axvline(rung, color="#888888", linewidth=0.7, linestyle=":")
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=8, frameon=False)
    rungs = " (dotted: where trials are compared)" if results.plan.rungs else ""
    _label(axis, f"Learning curves{rungs}", "agent-steps", caption(metric))


def _points(path: Path, metric: str) -> Points:
    return points(sample_rows(path, LINES)[0], metric) if path.is_file() else []


def _parallel(axis: "Axes", results: Results) -> None:
    """A line for each trial across the parameters and the score, the better the darker."""
    sweep = results.plan.sweep
    done = [trial for trial in results.trials if trial.score is not None and trial.values]
    paths = list(sweep.parameters)
    ranks = {trial.number: rank for rank, trial in enumerate(_ranked(done, sweep.objective.higher_is_better))}
    for trial in sorted(done, key=lambda one: -ranks[one.number]):
        places = [
            sweep.parameters[path].place(trial.values[path]) if path in trial.values else np.nan for path in paths
        ]
        score = 1 - ranks[trial.number] / max(1, len(done) - 1)
        shade = (0.3, 0.47, 0.66, 0.15 + 0.85 * score**2)
        axis.plot(
            [*range(len(paths)), len(paths)], [*places, score], color=shade, linewidth=1 + 1.6 * score, marker="."
        )
    for index, path in enumerate(paths):
        low, high = sweep.parameters[path].ends
        axis.text(index, 1.04, short(high), ha="center", fontsize=7)
        axis.text(index, -0.07, short(low), ha="center", fontsize=7)
    names = [path.rpartition(".")[2].replace("_", " ") for path in paths]
    axis.set_xticks(range(len(paths) + 1), [*names, "rank"], fontsize=8, rotation=12)
    axis.set_yticks([])
    axis.set_ylim(-0.12, 1.1)
    axis.grid(axis="x", alpha=0.4)
    _label(axis, "Values of the trials, the best dark", "", "")


def _ranked(trials: Sequence[Found], higher: bool) -> list[Found]:
    return sorted(trials, key=lambda trial: (trial.score or 0.0) * (-1 if higher else 1))


def importances(results: Results) -> dict[str, float]:
    """How much each parameter tells the best trials from the rest, in shares of 1; none where too few have ended."""
    if len(results.finished) < FEWEST or results.plan.sweep.mode == "pareto":
        return {}
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = open_store(results.plan, works=False)
        study = optuna.load_study(study_name=results.plan.name, storage=store.storage)
        try:
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            return optuna.importance.get_param_importances(study, evaluator=evaluator)
        except (ValueError, RuntimeError):  # no parameter that all trials have
            return {}


def _importance(axis: "Axes", results: Results) -> None:
    found = importances(results)
    names = [path.rpartition(".")[2].replace("_", " ") for path in found]
    axis.barh(names[::-1], list(found.values())[::-1], color=FINISHED)
    axis.set_xlim(0, 1)
    if not found:
        axis.text(0.5, 0.5, f"takes {FEWEST} finished trials", ha="center", transform=axis.transAxes)
    _label(axis, "What tells the best trials from the rest (PED-ANOVA)", "share", "")


def _front(axis: "Axes", results: Results) -> None:
    """Score against cost, and the trials that no other outdoes in both."""
    for trial in results.finished:
        axis.plot(trial.cost or 0.0, trial.score or 0.0, "s" if trial.baseline else "o", color=_colour(trial))
        axis.annotate(
            str(trial.number),
            (trial.cost or 0, trial.score or 0),
            fontsize=7,
            xytext=(4, 3),
            textcoords="offset points",
        )
    front = results.front
    axis.plot(
        [trial.cost or 0.0 for trial in front], [trial.score or 0.0 for trial in front], color="#54a24b", linewidth=1.4
    )
    axis.set_xscale("log")
    sweep = results.plan.sweep
    _label(
        axis,
        "Score against cost; the line: none is better in both",
        caption(sweep.cost),
        caption(sweep.objective.metric),
    )


def _label(axis: "Axes", title: str, across: str, up: str) -> None:
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(across, fontsize=9)
    axis.set_ylabel(up, fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    if across and up:
        axis.grid(alpha=0.3)
