"""Reports: one file with every number, charts to scale, roles over time, links that lead to the replays."""

import base64
import platform
import re
from datetime import datetime
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from metta.common.errors import UserError
from metta.eval.contest import run_contest
from metta.eval.match import engine_version
from metta.eval.settings import ContestSettings
from metta.eval.statistics import show, summarize
from metta.view.report.charts import WIDTH, metric_chart, role_chart
from metta.view.report.page import write_report

VOID = {"meta", "rect", "line", "circle", "input"}  # without an end tag here


class Checked(HTMLParser):
    """Reads a page; every element that opens is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_report_has_the_numbers_and_links_to_the_pages_of_its_replays(tmp_path: Path):
    replays, path = tmp_path / "kept here", tmp_path / "out" / "report.html"
    result = run_contest(
        ContestSettings(
            policies=["role,proportion=5", "random,proportion=3"],
            missions=["cogsguard_arena.basic", "cogsguard_arena.scout_tutorial"],
            cogs=8,
            episodes=3,
            steps=60,
            save_replay_dir=replays,
        )
    )
    write_report(result, path, replays)
    page = Checked(path.read_text())
    inner, outer = ([link for link in page.links if link.startswith("#") is anchor] for anchor in (True, False))
    assert inner == ["#cogsguard_arena.basic", "#cogsguard_arena.scout_tutorial"] and len(outer) == 6
    for link in outer:
        found = re.search(r'"replay": "([^"]+)"', (path.parent / unquote(link)).read_text())
        assert found and base64.b64decode(found[1]).startswith(b"COGREPLY")
    for match in result.matches:
        for policy in (0, 1):
            for name, summary in match.agent_metrics(policy).items():
                assert name in page.text and show(summary.mean) in page.text


def test_a_report_says_when_by_which_command_and_with_which_versions_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.argv", ["/usr/bin/cogames", "run", "-p", "role,kw.x=a b", "<b>"])
    write_report(run_contest(ContestSettings(policies=["noop"], episodes=1, steps=4)), tmp_path / "report.html")
    page = Checked((tmp_path / "report.html").read_text())
    foot = page.text.rpartition("written")[2]
    assert datetime.strptime(foot[:25], "%Y-%m-%d %H:%M:%S %z") <= datetime.now().astimezone()
    assert "commandcogames run -p 'role,kw.x=a b' '<b>'metta" in foot
    assert f"code of engine and policies{engine_version()[:8]}Python{platform.python_version()}" in foot
    assert foot.endswith(f"torch{version('torch')}\n")


@pytest.mark.browser
def test_a_report_runs_and_loads_nothing_and_looks_as_it_should(page: Any, tmp_path: Path):
    path = tmp_path / "report.html"
    write_report(run_contest(ContestSettings(policies=["noop"], episodes=1, steps=4)), path)
    page.goto(path.as_uri())
    assert page.evaluate("getComputedStyle(document.querySelector('.card')).borderTopStyle") == "solid"
    assert page.locator("script").count() == 0
    (policy,) = re.findall('http-equiv="Content-Security-Policy" content="([^"]*)"', path.read_text())
    assert "default-src 'none'" in policy and "script" not in policy


def test_names_from_outside_stay_text(tmp_path: Path):
    result = run_contest(ContestSettings(policies=["noop"], episodes=1, steps=4))
    result.matches[0].names = ("<script>alert(1)</script>",)
    result.messages.append("<img src=x onerror=alert(1)>")
    write_report(result, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "<script" not in text and "<img" not in text and "&lt;script&gt;" in text
    Checked(text)


def test_a_report_that_cannot_be_written_costs_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    result = run_contest(ContestSettings(policies=["noop"], episodes=1, steps=4))
    with pytest.raises(UserError, match="the report cannot be written"):
        write_report(result, tmp_path / "file" / "report.html")


def test_a_chart_is_to_scale():
    svg = metric_chart([summarize([0.0, 10.0]), summarize([5.0, 5.0])])
    assert re.findall(r'anchor="\w+">([\d.]+)</text>', svg) == ["0", "5", "10"]
    dots = [float(x) for x in re.findall(r'circle cx="([\d.]+)"', svg)]
    assert dots[0] < dots[2] == dots[3] < dots[1] and dots[2] - dots[0] == pytest.approx(dots[1] - dots[2])
    assert "nan" not in metric_chart([summarize([0.0])]) and "nan" not in metric_chart([summarize([-2.5, -1.0])])


def test_an_interval_that_goes_on_beyond_the_chart_ends_in_an_arrow():
    wide, narrow = summarize([1.0, 9.0]), summarize([4.0, 5.0, 6.0, 5.0, 4.0, 6.0])
    assert metric_chart([wide]).count("<path") == 2 and "<path" not in metric_chart([narrow, summarize([9.0])])
    left, width = (
        float(found) for found in re.findall(r'<rect x="([\d.]+)"[^>]* width="([\d.]+)"', metric_chart([wide]))[0]
    )
    assert left >= 0 and left + width <= WIDTH


def test_every_interval_of_a_report_says_of_how_many_episodes(tmp_path: Path):
    result = run_contest(ContestSettings(policies=["role", "noop"], episodes=2, steps=30))
    write_report(result, tmp_path / "report.html")
    text = Checked((tmp_path / "report.html").read_text()).text
    assert "95 % interval" in text and text.count("95 % interval") == text.count("95 % interval, n = 2") + text.count(
        "95 % intervals"
    )
    assert "per agent and episode, n = 2: " in text


def test_several_rows_are_numbered_and_one_is_not():
    two = metric_chart([summarize([1.0, 2.0]), summarize([3.0, 4.0])])
    assert re.findall(r'class="number"[^>]*>(\d)<', two) == ["1", "2"]
    assert "number" not in metric_chart([summarize([1.0, 2.0])])


def test_what_teams_held_is_drawn_in_their_own_colours(tmp_path: Path):
    result = run_contest(ContestSettings(policies=["cogsguard"], variants=["multi_team"], episodes=1, steps=150))
    write_report(result, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    chart = text[text.index("junctions held, summed over steps: 1 cogs_blue, 2 cogs_green") :]
    chart = chart[: chart.index("</figure>")]
    assert re.findall(r'<circle[^>]*fill="([^"]+)"', chart) == ["var(--blue)", "var(--green)"]


def test_every_colour_of_a_report_is_one_of_the_palette(tmp_path: Path):
    result = run_contest(ContestSettings(policies=["role", "noop"], episodes=1, steps=20))
    write_report(result, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert set(re.findall(r"var\(--(\w+)\)", text)) <= set(re.findall(r"--(\w+):light-dark\(", text))
    assert not re.findall(r'(?:fill|stroke)="#', text)


def test_roles_are_stacked_to_the_share_of_their_agents():
    svg = role_chart(["0111", "0333"], steps=30)
    areas = dict(re.findall(r'points="([^"]+)"[^>]*><title>(\w+)', svg))
    shapes = {gear: [tuple(map(float, pair.split(","))) for pair in points.split()] for points, gear in areas.items()}
    assert set(shapes) == {"none", "aligner", "miner"}
    bottom = max(y for _, y in shapes["none"])
    half = [y for x, y in shapes["aligner"][1:4]]
    assert half == pytest.approx([bottom / 2] * 3) and [y for _, y in shapes["miner"][1:4]] == pytest.approx([0] * 3)


def test_only_a_report_is_replaced_by_a_report(tmp_path: Path):
    result = run_contest(ContestSettings(policies=["noop"], episodes=1, steps=4))
    path = tmp_path / "page.html"
    write_report(result, path)
    write_report(result, path)
    path.write_text("my own page")
    with pytest.raises(UserError, match="it is not overwritten"):
        write_report(result, path)
    assert path.read_text() == "my own page"
