"""A sweep as one HTML file that loads and runs nothing: its picture and a table of its trials."""

from html import escape
from importlib.resources import files
from pathlib import Path

from metta.common.files import ensure_new, write_atomic, writing
from metta.eval.statistics import show, show_ends
from metta.sweep.figure import as_svg, draw, importances, save_png
from metta.sweep.results import Found, Results, as_cell, state_of, told
from metta.view.report.charts import style_variables
from metta.view.report.page import POLICY, SWITCH

MARK = '<meta name="generator" content="metta sweep">'
# The picture is drawn for light ground.
STYLE = "main svg{background:#fff;border-radius:8px;width:100%;height:auto} .best td{font-weight:700}"


def write_page(results: Results, path: Path, trials_at: Path) -> Path:
    """Write the page and, beside it, the picture as a PNG, whose path is returned. Raises UserError where a file that
    is no such page would be lost, or nothing can be written."""
    ensure_new(path, ours=MARK.encode())
    figure = draw(results, trials_at)
    style = style_variables() + files("metta.view.report").joinpath("style.css").read_text("utf-8") + STYLE
    html = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>sweep {escape(results.plan.name)}</title>'
        f'{MARK}<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="referrer" content="no-referrer"><meta name="viewport" content="width=device-width">'
        f"<style>{style}</style></head><body><main>{_body(results, as_svg(figure))}</main></body></html>\n"
    )
    picture = path.with_suffix(".png")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, html)
    save_png(figure, picture)
    return picture


def _body(results: Results, picture: str) -> str:
    sweep, plan = results.plan.sweep, results.plan
    how = f"{sweep.mode} over {len(sweep.parameters)} settings by {sweep.objective.metric} ({sweep.objective.take})"
    recipe = plan.recipe or "an experiment file"
    head = f"<header><h1>{escape(told(results))}</h1><p>{escape(f'{recipe}: {how}')}</p>{SWITCH}</header>"
    shares = ", ".join(f"{escape(path)} {share:.0%}" for path, share in importances(results).items())
    said = f"<p>What tells the best trials from the rest: {shares}</p>" if shares else ""
    return f'{head}<section class="card">{picture}{said}</section><section class="card">{_table(results)}</section>'


def _table(results: Results) -> str:
    sweep = results.plan.sweep
    costs = [sweep.cost] if sweep.mode == "pareto" else []
    heads = [
        "trial",
        "state",
        sweep.objective.metric,
        "95 % interval",
        *costs,
        *sweep.parameters,
        "agent-steps",
        "time (s)",
    ]
    best = results.finished[0].number if results.finished else None
    rows = "".join(_row(results, trial, trial.number == best) for trial in results.trials)
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    scroll = '<div class="scroll" tabindex="0" role="region" aria-label="trials">'
    return f"<h2>Trials</h2>{scroll}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"


def _row(results: Results, trial: Found, best: bool) -> str:
    sweep = results.plan.sweep
    cells = [
        f"{trial.number}{' (best)' if best else ''}",
        state_of(trial),
        show(trial.score),
        show_ends(*trial.ci95),
        *([show(trial.cost)] if sweep.mode == "pareto" else []),
        *(as_cell(trial, path) for path in sweep.parameters),
        f"{trial.agent_steps:,}",
        f"{trial.seconds:,.0f}",
    ]
    row = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr class="best">{row}</tr>' if best else f"<tr>{row}</tr>"
