"""The panels beside the map: lists of lines, the most important first."""

from collections.abc import Callable
from itertools import groupby
from typing import NamedTuple

from rich.segment import Segment

from metta.game.resources import ELEMENTS, RESOURCES
from metta.view.events import Event
from metta.view.palette import PALETTE
from metta.view.scene import Cog, Scene
from metta.view.terminal import symbols
from metta.view.terminal.text import Line, fit, flow, piece

DIM, LOW = PALETTE.ink["dim"].dark, f"bold {PALETTE.ink['bad'].dark}"
LOW_HP = 25


class Column(NamedTuple):
    """A column of the table of cogs; negative widths align to the left."""

    title: str
    width: int
    rank: int  # those of low rank stay when there is little room
    cell: Callable[[Cog], tuple[str, str]]


def _number(name: str) -> Callable[[Cog], tuple[str, str]]:
    return lambda cog: (str(cog.carried[name]), "" if cog.carried[name] else DIM)


def _hp(cog: Cog) -> tuple[str, str]:
    return str(cog.carried["hp"]), LOW if cog.carried["hp"] < LOW_HP else ""


def _role(cog: Cog) -> tuple[str, str]:
    """What the policy publishes, else the gear."""
    role = cog.role or cog.gear or "none"
    return role, symbols.role_colour(role)


COLUMNS = (
    Column("", -2, 0, lambda cog: (symbols.cog_sign(cog), symbols.cog_style(cog))),
    Column("role", -9, 5, _role),
    Column("hp", 3, 1, _hp),
    Column("en", 3, 2, _number("energy")),
    Column("inf", 3, 6, _number("influence")),
    Column("hrt", 3, 3, _number("heart")),
    Column("cargo", 5, 7, lambda cog: (str(cog.cargo), "" if cog.cargo else DIM)),
    Column("score", 6, 4, lambda cog: (f"{cog.score:.2f}", "")),
    Column("task", -8, 8, lambda cog: (cog.task, DIM)),
    Column("vibe", -9, 9, lambda cog: (cog.vibe, DIM)),
)


def _columns(scene: Scene, width: int) -> list[Column]:
    """The columns that fit, in order of importance; without those that would be empty."""
    room, chosen = width - 1, []
    for column in sorted(COLUMNS, key=lambda column: column.rank):
        room -= abs(column.width) + 1
        if room < 0:
            break
        chosen.append(column)
    silent = not any(cog.task for cog in scene.cogs)
    return [column for column in COLUMNS if column in chosen and not (silent and column.title == "task")]


def cogs_panel(scene: Scene, agent: int, width: int, rows: int, pictures: bool) -> list[Line]:
    """A line for each cog; those around the followed one where not all fit into `rows`, which is 2 or more."""
    teams = list(scene.stock)
    several = len(teams) > 1
    columns = _columns(scene, width - 3 * several)
    shown = min(len(scene.cogs), rows - 1)
    first = min(max(0, agent - shown // 2), len(scene.cogs) - shown)
    lines = [
        [piece("    " if several else " "), *(part for column in columns for part in _cell(column, column.title, DIM))]
    ]
    for cog in scene.cogs[first : first + shown]:
        marker = [piece(">" if cog.number == agent else " ", "bold")]
        marker += [_sign(cog.team, teams, pictures), piece(" ")] if several else []
        lines.append([*marker, *(part for column in columns for part in _cell(column, *column.cell(cog)))])
    return lines


def _cell(column: Column, text: str, style: str) -> Line:
    text = text[: abs(column.width)]
    return [piece(text.ljust(-column.width) if column.width < 0 else text.rjust(column.width), style), piece(" ")]


def cog_panel(cog: Cog, width: int, taken: bool) -> list[Line]:
    """All about one cog: vital signs, what it carries, what it is about."""
    role, style = _role(cog)
    vital = [
        piece(symbols.cog_sign(cog), symbols.cog_style(cog)),
        piece("yours", "bold reverse") if taken else piece(role, style),
        piece(f"hp {cog.carried['hp']}", _hp(cog)[1]),
    ]
    vital += [piece(f"{name} {cog.carried[name]}") for name in ("energy", "influence", "heart")]
    vital += [piece(f"{name} {cog.carried[name]}") for name in ELEMENTS if cog.carried[name]]
    others = [name for name in RESOURCES if name not in ("hp", "energy", "influence", "heart", *ELEMENTS, cog.gear)]
    about = [piece(f"at {cog.row},{cog.col}"), piece(f"vibe {cog.vibe}"), piece(f"score {cog.score:.3f}")]
    if cog.task:
        goal = f" at {cog.target[0]},{cog.target[1]}" if cog.target else ""
        about.insert(0, piece(f"task {cog.task}{goal}", style))
    carried = [piece(f"{name} {cog.carried[name]}", DIM) for name in others if cog.carried[name]]
    return [*flow(vital, width), *flow([*about, *carried], width)]


def teams_panel(scene: Scene, width: int, pictures: bool) -> list[Line]:
    """Junctions by owner, then what each team stores."""
    teams = list(scene.stock)
    counts = [[_sign(owner, teams, pictures), piece(f" {owner} {count}")] for owner, count in scene.junctions.items()]
    lines = flow(counts, width)
    for team, stock in scene.stock.items():
        elements = [piece(f"{element} {stock[element]}") for element in ELEMENTS]
        lines += flow([piece(f"{team}:", "bold"), piece(f"hearts {stock['heart']}"), *elements], width)
    return lines


def _sign(owner: str, teams: list[str], pictures: bool) -> Segment:
    """The sign of an owner's junctions, in its colour."""
    return piece(symbols.junction_sign(owner, teams, pictures), symbols.owner_style(owner, teams))


def events_panel(events: list[Event], teams: list[str], width: int, rows: int, pictures: bool) -> list[Line]:
    """The newest events, the last one at the bottom; what repeats itself is counted."""
    lines = []
    for (text, owner), same in groupby(events, key=lambda event: (event.text, event.owner)):
        steps = [event.step for event in same]
        times = f" x{len(steps)}" if len(steps) > 1 else ""
        line = [piece(f"{steps[-1]:5} ", DIM), _sign(owner, teams, pictures), piece(f" {text}{times}")]
        lines.append(fit(line, width))
    return lines[max(0, len(lines) - rows) :]
