"""The result of an evaluation as one HTML file: tables, intervals, charts, roles over time, links to replays."""

import os
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from metta.common.errors import UserError
from metta.common.files import ensure_new, write_atomic
from metta.eval.contest import ContestResult
from metta.eval.results import REWARD, MatchSummary
from metta.eval.statistics import Summary, as_cells, interval_head, show, show_interval, summarize
from metta.eval.tables import seats
from metta.view.page import write_replay_page
from metta.view.report.charts import (
    colour,
    gear_legend,
    metric_chart,
    role_chart,
    style_variables,
    team_colours,
)
from metta.view.report.origin import origin

# Statistics with a chart each, and what they are called; the table below has all.
CHARTS = {
    REWARD: "reward",
    "heart.gained": "hearts gained",
    "junction.aligned_by_agent": "junctions aligned",
    "junction.scrambled_by_agent": "junctions scrambled",
    "death": "deaths",
    "action.move.success": "successful moves",
    "cell.visited": "cells visited",
    "action.failed": "failed actions",
}
# It loads nothing and runs nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
MARK = '<meta name="generator" content="cogames report">'
HELD = "{}/aligned.junction.held"  # of a team
SWITCH = '<label class="switch"><input type="checkbox" id="ground"> swap light and dark</label>'


def write_report(result: ContestResult, path: Path, replays: Path | None = None) -> None:
    """Write the report, and beside every replay in `replays` its page. Raises UserError where writing fails."""
    check_report(path)
    for name in (row.replay for match in result.matches for row in match.rows if row.replay):
        if replays:
            write_replay_page(replays / name, (replays / name).with_suffix(".html"))
    style = style_variables() + files("metta.view.report").joinpath("style.css").read_text("utf-8")
    body = "".join(_sections(result, path, replays))
    title = ", ".join(dict.fromkeys(name for match in result.matches for name in match.names))
    html = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'{MARK}<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="referrer" content="no-referrer"><meta name="viewport" content="width=device-width">'
        f"<style>{style}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, html)
    except OSError as error:
        raise UserError(f"{path}: the report cannot be written ({error.strerror})") from None


def check_report(path: Path) -> None:
    """Raise UserError if a file that is no report would be lost."""
    ensure_new(path, ours=MARK.encode())


def _sections(result: ContestResult, path: Path, replays: Path | None) -> Iterator[str]:
    played = sum(one.episodes for one in result.matches)
    whole = f"{played:,} of {result.episodes:,} episodes, broken off" if result.interrupted else f"{played:,} episodes"
    yield f"<header><h1>Evaluation</h1><p>{whole}, {len(result.matches)} mission{'s' * (len(result.matches) > 1)}</p>"
    yield _policies(result.matches[0]) if result.matches else ""
    yield f"{SWITCH}</header>"
    for message in result.messages:
        yield f'<p class="warning">{escape(message)}</p>'
    if len(result.matches) > 1:
        yield _overview(result.matches)
    for one in result.matches:
        yield from _mission(one, path, replays)
    said = "Dots are episodes, lines means, bars 95 % intervals of the mean; an arrow: the interval goes on there."
    facts = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in origin().items())
    yield f"<footer><p>{said}</p><dl>{facts}</dl></footer>"


def _policies(result: MatchSummary) -> str:
    """Who plays, in the colours of the charts."""
    items = (
        f"<li>{_key(index, result)}<b>{escape(name)}</b> {escape(seats(player))}"
        f"{f'<small>{escape(player.uri)}</small>' if player.uri != name else ''}</li>"
        for index, (name, player) in enumerate(zip(result.names, result.match.players, strict=True))
    )
    return f'<ul class="policies">{"".join(items)}</ul>'


def _key(index: int, result: MatchSummary) -> str:
    """Colour of a policy, and its number in the charts where there are several."""
    number = f"<em>{index + 1}</em>" if len(result.names) > 1 else ""
    return f'<i style="background:{colour(index)}"></i>{number}'


def _held(teams: Sequence[str], game: dict[str, Summary]) -> list[str]:
    """A chart of the junctions that the teams held, in the teams' own colours."""
    known = [team for team in sorted(teams) if HELD.format(team) in game]
    if not known:
        return []
    paints = team_colours(teams)
    said = ", ".join(f"{k} {team}" for k, team in enumerate(known, 1)) if len(known) > 1 else f"by {known[0]}"
    title = f"junctions held, summed over steps: {said}"
    return [_chart(title, "team", [game[HELD.format(team)] for team in known], [paints[team] for team in known])]


def _overview(matches: Sequence[MatchSummary]) -> str:
    names = matches[0].names
    rows = [
        [f'<a href="#{escape(one.match.mission.name)}">{escape(one.match.mission.name)}</a>', str(one.episodes)]
        + [cell for index in range(len(names)) for cell in as_cells(summarize(one.rewards(index)))]
        for one in matches
    ]
    heads = ["mission", "episodes", *(cell for name in names for cell in (escape(name), "95 % interval"))]
    return f'<section class="card"><h2>Reward per agent and episode</h2>{_table(heads, rows)}</section>'


def _mission(result: MatchSummary, path: Path, replays: Path | None) -> Iterator[str]:
    mission, policies = result.match.mission, range(len(result.names))
    seeds = f"seeds {result.rows[0].seed} to {result.rows[-1].seed}"
    facts = f"{result.episodes} episodes of {mission.max_steps:,} steps, {mission.agents} agents, {seeds}"
    yield f'<section class="card" id="{escape(mission.name)}"><h2>{escape(mission.name)}</h2><p>{facts}</p>'
    metrics = [{REWARD: summarize(result.rewards(index))} | result.agent_metrics(index) for index in policies]
    game = result.game_metrics()
    charts = [
        _chart(title, "per agent and episode", [found[name] for found in metrics])
        for name, title in CHARTS.items()
        if all(name in found for found in metrics)
    ]
    charts += _held(list(mission.teams), game)
    yield f'<div class="charts">{"".join(charts)}</div>'
    yield f"<h3>Gear worn over the episode, share of agents</h3><p>{gear_legend()}</p>"
    for index in policies:
        lines = [row.gear[agent] for row in result.rows for agent, seat in enumerate(row.seats) if seat == index]
        name = escape(result.names[index])
        yield f'<figure class="roles"><figcaption>{_key(index, result)}{name}</figcaption>'
        yield f"{role_chart(lines, mission.max_steps, f'gear worn by {result.names[index]}')}</figure>"
    yield from _details(result, metrics, game)
    yield _replays(result, path, replays)
    yield "</section>"


def _details(result: MatchSummary, metrics: Sequence[dict[str, Summary]], game: dict[str, Summary]) -> Iterator[str]:
    """Tables that open on a click: all statistics, roles, agents."""
    names = dict.fromkeys(name for found in metrics for name in found)
    interval = interval_head(result.episodes)
    heads = ["per agent and episode", *(cell for name in result.names for cell in (escape(name), interval))]
    rows = [[escape(name), *(cell for found in metrics for cell in as_cells(found.get(name)))] for name in names]
    yield _folded("All statistics of agents", _table(heads, rows))
    rows = [[escape(name), *as_cells(summary)] for name, summary in sorted(game.items())]
    yield _folded("Teams and game", _table(["per episode", "mean", interval], rows))
    rows = [
        [escape(name), role, show(part["agents_per_episode"]), show(part["avg_reward"])]
        + [show(part["avg_agent_metrics"].get(key, 0.0)) for key in list(CHARTS)[1:]]
        for index, name in enumerate(result.names)
        for role, part in result.roles(index).items()
    ]
    yield _folded("By role (gear worn longest)", _table(["policy", "role", "agents", *CHARTS.values()], rows))
    means = result.per_agent()
    rows = [
        [str(agent), *(show(means[key][agent]) if key in means else "0" for key in CHARTS)]
        for agent in range(result.match.mission.agents)
    ]
    yield _folded("By agent", _table(["agent", *CHARTS.values()], rows))


def _replays(result: MatchSummary, path: Path, replays: Path | None) -> str:
    """Links to the pages of the replays, relative to the report."""
    kept = [row for row in result.rows if row.replay]
    if not replays or not kept:
        return ""
    links = []
    for row in kept:
        page = (replays / str(row.replay)).with_suffix(".html")
        link = quote(Path(os.path.relpath(page, path.parent)).as_posix())
        links.append(f'<a href="{escape(link)}">seed {row.seed}<small>{show(row.score)}</small></a>')
    return f'<h3>Replays, with the mean reward of all agents</h3><p class="replays">{"".join(links)}</p>'


def _chart(title: str, unit: str, summaries: Sequence[Summary], paints: Sequence[str] = ()) -> str:
    found = ", ".join(f"{show(summary.mean)} ({show_interval(summary)})" for summary in summaries)
    said = f"{unit}, n = {summaries[0].episodes}: {found}"
    chart = metric_chart(summaries, paints, title)
    return f"<figure><figcaption>{escape(title)}<small>{said}</small></figcaption>{chart}</figure>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    scroll = '<div class="scroll" tabindex="0" role="region" aria-label="table">'
    return f"{scroll}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>{content}</details>"
