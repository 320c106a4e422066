"""Charts of a report as SVG: a metric with its interval for each policy, and roles over time."""

import math
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from metta.eval.gear import EVERY, WORN
from metta.eval.statistics import Summary
from metta.view.palette import PALETTE, looks_of

LETTERS = {"none": "–", "aligner": "A", "scrambler": "X", "miner": "M", "scout": "S"}  # of gear, as in the terminal
WIDTH, ROW, MARGIN, AXIS = 300, 34, 12, 20  # pixels
NUMBER = 14  # pixels at the left for the numbers of rows, where there are several
LETTER = 13  # pixels that a letter needs
TIP = 8  # of the arrow where an interval goes on beyond the chart
TIME_WIDTH, TIME_HEIGHT = 620, 110


def style_variables() -> str:
    """The palette as variables of CSS, each for light and dark ground."""
    paints = {**PALETTE.ink, **PALETTE.gear, **PALETTE.teams}
    values = "".join(f"--{name}:light-dark({paint.light},{paint.dark});" for name, paint in paints.items())
    return f":root{{{values}}}"


def colour(policy: int) -> str:
    """The colour of a policy by its place in the line-up."""
    return f"var(--{list(PALETTE.teams)[policy % len(PALETTE.teams)]})"


def team_colours(teams: Iterable[str]) -> dict[str, str]:
    """The colour of each team, as in the viewers."""
    names = {look.sign: name for name, look in PALETTE.teams.items()}
    return {team: f"var(--{names[look.sign]})" for team, look in looks_of(teams).items()}


def metric_chart(summaries: Sequence[Summary], paints: Sequence[str] = (), title: str = "") -> str:
    """A row for each policy, or whatever `paints` are the colours of: a dot for each episode, the mean as a line, its
    interval as a bar. Several rows are numbered.

    The axis covers the episodes and 0; of few episodes an interval goes far beyond, which an arrow says.
    """
    values = [value for summary in summaries for value in summary.per_episode]
    ticks = _ticks(min(0.0, *values), max(0.0, *values))
    low, high = ticks[0], ticks[-1]
    height = ROW * len(summaries) + AXIS
    several = len(summaries) > 1
    first = MARGIN + NUMBER * several

    def x(value: float) -> float:
        return first + (value - low) / (high - low) * (WIDTH - MARGIN - first)

    marks = []
    for tick in ticks:
        anchor = "start" if tick == low else "end" if tick == high else "middle"
        marks.append(f'<line class="axis" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="0" y2="{height - AXIS}"/>')
        marks.append(f'<text x="{x(tick):.1f}" y="{height - 5}" text-anchor="{anchor}">{tick:,.10g}</text>')
    for index, summary in enumerate(summaries):
        middle, paint = ROW * index + ROW / 2, paints[index] if paints else colour(index)
        marks += [f'<text class="number" x="8" y="{middle + 4}">{index + 1}</text>'] if several else []
        start, stop = summary.ci95
        if start is not None and stop is not None:
            left, right = x(max(start, low)), x(min(stop, high))
            marks.append(
                f'<rect x="{left:.1f}" y="{middle - 9}" width="{max(1.5, right - left):.1f}" height="18" rx="3" '
                f'fill="{paint}" opacity=".28"/>'
            )
            beyond = [(left, -TIP)] * (start < low) + [(right, TIP)] * (stop > high)
            marks += [f'<path d="M{at:.1f} {middle - 9}l{tip} 9l{-tip} 9z" fill="{paint}"/>' for at, tip in beyond]
        marks += [
            f'<circle cx="{x(value):.1f}" cy="{middle + _jitter(k):.1f}" r="2" fill="{paint}" opacity=".65"/>'
            for k, value in enumerate(summary.per_episode)
        ]
        at = x(summary.mean)
        marks.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{middle - 12}" y2="{middle + 12}" stroke="{paint}" '
            f'stroke-width="2.5"/>'
        )
    return _svg(WIDTH, height, marks, title)


def role_chart(lines: Sequence[str], steps: int, title: str = "") -> str:
    """Share of the agents that wore each gear over the steps of an episode. `lines` as `GearTrack.lines` gives them."""
    worn = np.array([[int(digit) for digit in line] for line in lines], np.int64)  # [agents, looks]
    shares = np.stack([(worn == index).mean(0) for index in range(len(WORN))])
    tops = TIME_HEIGHT - AXIS - np.cumsum(shares, 0) * (TIME_HEIGHT - AXIS)
    looks = worn.shape[1]

    def x(look: int) -> float:
        return MARGIN + (TIME_WIDTH - 2 * MARGIN) * min(1.0, look * EVERY / max(1, steps))

    marks, below = [], np.full(looks, float(TIME_HEIGHT - AXIS))
    for gear, top in zip(WORN, tops, strict=True):
        edge = [f"{x(k):.1f},{top[k]:.1f}" for k in range(looks)]
        edge += [f"{x(k):.1f},{below[k]:.1f}" for k in reversed(range(looks))]
        if (below - top).any():
            points, at = " ".join(edge), int((below - top)[: max(1, looks - 1)].argmax())
            marks.append(f'<polygon points="{points}" fill="var(--{gear})"><title>{gear}</title></polygon>')
            if below[at] - top[at] >= LETTER:
                place = f'x="{x(at) + 6:.1f}" y="{(below[at] + top[at]) / 2 + 4:.1f}"'
                marks.append(f'<text class="letter" {place}>{LETTERS[gear]}</text>')
        below = top
    for share in (0, 0.5, 1):
        at = MARGIN + (TIME_WIDTH - 2 * MARGIN) * share
        marks.append(f'<text x="{at:.1f}" y="{TIME_HEIGHT - 5}" text-anchor="middle">{share * steps:,.0f}</text>')
    return _svg(TIME_WIDTH, TIME_HEIGHT, marks, title)


def gear_legend() -> str:
    """What the colours and letters of `role_chart` mean."""
    return "".join(
        f'<span class="key"><i class="letter" style="background:var(--{gear})">{letter}</i>'
        f"{'no gear' if gear == 'none' else gear}</span>"
        for gear, letter in LETTERS.items()
    )


def _svg(width: int, height: int, marks: Sequence[str], title: str) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg {size} role="img" aria-label="{escape(title)}">{"".join(marks)}</svg>'


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers that cover the range, three or four of them."""
    rough = (high - low or 1.0) / 3
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(times * unit for times in (1, 2, 2.5, 5, 10) if times * unit >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * k for k in range(first, max(last, first + 1) + 1)]


def _jitter(k: int) -> float:
    """Dots of equal values must not hide each other."""
    return ((k * 0.618) % 1 - 0.5) * 14
