"""The whole picture: header, map, panels and footer, fitted to any size of terminal."""

from collections.abc import Callable
from dataclasses import dataclass, field

from rich.segment import Segment
from rich.style import Style

from metta.view.events import Event
from metta.view.palette import PALETTE
from metta.view.scene import Scene
from metta.view.terminal import symbols
from metta.view.terminal.bindings import BINDINGS
from metta.view.terminal.map import draw_map
from metta.view.terminal.panels import DIM, cog_panel, cogs_panel, events_panel, teams_panel
from metta.view.terminal.text import Line, first_line, fit, heading, piece

HELP_WIDTH = 40  # of a column
SIDE_WIDTHS = ((140, 66), (100, 46), (72, 36))  # of the panels, from that many columns on; below that: under the map
HINTS = ("? help", "q quit", "space pause", ". step", "+- speed", "tab cog", "t take over", "arrows map", "c hub")
TAKEN_HINTS = ("wasd move", "v vibe", "t give back", "? help", "q quit", "space pause", ". wait")


@dataclass
class View:
    """What a watcher has chosen to see."""

    agent: int = 0
    camera: tuple[int, int] | None = None  # row and column in the middle of the map; None: the followed cog's
    playing: bool = True
    speed: float = 1.0
    taken: bool = False
    help: int = 0  # page, from 1 on
    note: str = ""  # takes the place of the hints
    hints: bool = True
    pictures: bool = True  # emoji; else letters
    events: list[Event] = field(default_factory=list)


def draw(scene: Scene, view: View, width: int, height: int) -> list[Line]:
    """`height` lines of `width` columns."""
    ground = Style.parse(symbols.GROUND)
    return [list(Segment.apply_style(line, ground)) for line in _draw(scene, view, width, height)]


def _draw(scene: Scene, view: View, width: int, height: int) -> list[Line]:
    if view.help:
        pages = help_pages(scene, view, width, height)
        return _filled(pages[min(view.help, len(pages)) - 1], width, height)
    header, footer = _header(scene, view, width), _footer(view, width)
    rows = height - 1 - bool(footer)
    side = next((side for least, side in SIDE_WIDTHS if width >= least), 0)
    body = _beside(scene, view, width, rows, side) if side else _below(scene, view, width, rows)
    return _filled([header, *_filled(body, width, rows), *footer], width, height)


def _filled(lines: list[Line], width: int, height: int) -> list[Line]:
    """Exactly `height` lines of `width` columns."""
    lines = lines[: max(0, height)]
    return [fit(line, width) for line in [*lines, *([[]] * (height - len(lines)))]]


def _beside(scene: Scene, view: View, width: int, rows: int, side: int) -> list[Line]:
    """The map with a column of panels at its right, which gets what the map does not need."""
    side = max(side, width - 1 - 2 * scene.walls.shape[1])
    wide = width - side - 1
    panels = _panels(scene, view, side, rows, True)
    lines = zip(_filled(_map(scene, view, wide, rows), wide, rows), _filled(panels, side, rows), strict=True)
    return [[*left, piece(" "), *right] for left, right in lines]


def _below(scene: Scene, view: View, width: int, rows: int) -> list[Line]:
    """The map with panels under it."""
    panels = _panels(scene, view, width, max(0, (rows - 4) // 2), False)
    return [*_map(scene, view, width, rows - len(panels)), *panels]


def _map(scene: Scene, view: View, width: int, rows: int) -> list[Line]:
    cog = scene.cogs[view.agent]
    return draw_map(scene, view.camera or (cog.row, cog.col), view.agent, width, rows, view.pictures)


def _panels(scene: Scene, view: View, width: int, rows: int, headings: bool) -> list[Line]:
    """Panels for `rows` lines, the followed cog and the teams first of all, then the cogs, then the events."""
    cog, teams = scene.cogs[view.agent], list(scene.stock)
    about = cog_panel(cog, width, view.taken)
    makers: list[tuple[int, str, Callable[[int], list[Line]]]] = [  # place, title, lines for so many rows
        (1, f"cog {cog.number}", lambda rows: about[: max(1, rows * 2 // 3)]),
        (2, "teams", lambda rows: teams_panel(scene, width, view.pictures)[:rows]),
        (0, "", lambda rows: cogs_panel(scene, view.agent, width, rows, view.pictures) if rows > 1 else []),
        (3, "events", lambda rows: events_panel(view.events, teams, width, rows, view.pictures)),
    ]
    placed: list[tuple[int, list[Line]]] = []
    for place, title, make in makers:
        head = [heading(title, width)] if headings and title else []
        lines = make(rows - len(head)) if rows > len(head) else []
        if lines:
            placed.append((place, [*head, *lines]))
            rows -= len(head) + len(lines)
    return [line for _, lines in sorted(placed, key=lambda pair: pair[0]) for line in lines]


def _header(scene: Scene, view: View, width: int) -> Line:
    ended = scene.step >= scene.max_steps
    state = "ended" if ended else f"> {view.speed:g}x" if view.playing else f"paused {view.speed:g}x"
    pieces = [
        piece(f"step {scene.step}/{scene.max_steps}"),
        piece(state),
        piece(f"score {scene.score:.3f}"),
        piece(scene.mission),
    ]
    return [piece(s.text, "bold black on grey82") for s in first_line(pieces, width)]


def _footer(view: View, width: int) -> list[Line]:
    if view.note:
        return [fit([piece(view.note, f"bold {PALETTE.ink['warning'].dark}")], width)]
    hints = TAKEN_HINTS if view.taken else HINTS
    return [first_line([piece(hint, DIM) for hint in hints], width)] if view.hints else []


def help_pages(scene: Scene, view: View, width: int, height: int) -> list[list[Line]]:
    """Keys and signs, in as many columns as fit, on as many pages as they need; at least one."""
    keys = [[piece(f"{b.shown:>11} ", "bold"), piece(b.does)] for b in BINDINGS]
    signs = [
        [piece(" " * 9), piece(sign, style), piece(f" {what}")]
        for sign, style, what in symbols.legend(list(scene.stock), view.pictures)
    ]
    columns = max(1, width // HELP_WIDTH)
    lines = [*_grid(keys, HELP_WIDTH, columns), [], *_grid(signs, HELP_WIDTH, columns)]
    rows = max(1, height - 1)
    pages = [lines[first : first + rows] for first in range(0, len(lines), rows)]
    foot = [f"page {page} of {len(pages)}: ? goes on, esc closes" for page in range(1, len(pages) + 1)]
    return [[*_filled(page, width, rows), [piece(text, DIM)]] for page, text in zip(pages, foot, strict=True)]


def _grid(cells: list[Line], width: int, columns: int) -> list[Line]:
    """Cells in columns, filled from top to bottom."""
    rows = -(-len(cells) // columns)
    return [[part for cell in cells[row::rows] for part in fit(cell, width)] for row in range(rows)]
