"""The game as text: a viewport of the map, two columns a cell, and a line per cog."""

from dataclasses import dataclass

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from metta.game.engine.batch import EnvBatch
from metta.game.maps.cells import HUB, KIND_MASK, WALL
from metta.game.resources import CLIPS, ELEMENTS, GEAR, RESOURCES

WALL_STYLE, FLOOR_STYLE = "grey23", "grey15"
STATIONS = {"hub": ("🏠", ""), "aligner": ("🔗", ""), "scrambler": ("🌀", ""), "miner": ("🔨", ""), "scout": ("🔭", "")}
GEAR_STYLE = {"aligner": "bold magenta", "scrambler": "bold cyan", "miner": "bold yellow", "scout": "bold blue"}
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
ITEM = {name: index for index, name in enumerate(RESOURCES)}


@dataclass(frozen=True)
class Viewport:
    """Rows and columns of the map that are shown."""

    top: int
    left: int
    height: int
    width: int

    @classmethod
    def around_hub(cls, grid: np.ndarray, height: int, width: int) -> "Viewport":
        """The part of the map around the first hub (or its middle) that fits into `height` x `width` cells."""
        rows, cols = grid.shape
        hubs = np.argwhere((grid & KIND_MASK) == HUB)
        row, col = hubs[0] if len(hubs) else (rows // 2, cols // 2)
        height, width = min(height, rows), min(width, cols)
        top = min(max(0, int(row) - height // 2), rows - height)
        left = min(max(0, int(col) - width // 2), cols - width)
        return cls(top, left, height, width)


def object_symbol(kind: str, owner: str | None) -> tuple[str, str]:
    """Two columns of text and their style for an object."""
    name = kind.split(":")[-1]
    if name == "junction":
        return ("🔴", "") if owner == CLIPS else ("🟢", "") if owner else ("⚪", "")
    if name in STATIONS:
        return STATIONS[name]
    return f"{name[0].upper()} ", "green"


def gear_of(inventory: np.ndarray) -> str:
    """Gear that a cog wears; '' for none."""
    return next((gear for gear in GEAR if inventory[ITEM[gear]]), "")


def agent_symbol(agent: int, gear: str) -> tuple[str, str]:
    """Role initial (or @) and number of a cog."""
    return (gear[0].upper() if gear else "@") + DIGITS[agent % len(DIGITS)], GEAR_STYLE.get(gear, "bold white")


def draw_map(batch: EnvBatch, e: int, view: Viewport) -> Text:
    """The viewport of environment `e` as coloured text."""
    grid = batch.map(e) & KIND_MASK
    cells: dict[tuple[int, int], tuple[str, str]] = {}
    for thing in batch.objects(e):
        cells[thing["row"], thing["col"]] = object_symbol(thing["type"], thing["owner"])
    for agent, (row, col) in enumerate(batch.positions()[e].tolist()):
        cells[row, col] = agent_symbol(agent, gear_of(batch.inventories()[e, agent]))
    text = Text(no_wrap=True)
    for row in range(view.top, view.top + view.height):
        for col in range(view.left, view.left + view.width):
            wall = grid[row, col] == WALL
            text.append(*cells.get((row, col), ("██", WALL_STYLE) if wall else ("· ", FLOOR_STYLE)))
        text.append("\n")
    return text


def agent_table(batch: EnvBatch, e: int, returns: np.ndarray) -> Table:
    """One line per cog: gear, vital signs, hearts, cargo, score."""
    table = Table(box=None, padding=(0, 1))
    for name in ("cog", "gear", "hp", "energy", "influence", "hearts", "cargo", "score"):
        table.add_column(name, justify="left" if name in ("cog", "gear") else "right")
    for agent, inventory in enumerate(batch.inventories()[e]):
        gear = gear_of(inventory)
        symbol, style = agent_symbol(agent, gear)
        numbers = [str(inventory[ITEM[name]]) for name in ("hp", "energy", "influence", "heart")]
        cargo = str(sum(int(inventory[ITEM[element]]) for element in ELEMENTS))
        table.add_row(Text(symbol, style=style), gear or "–", *numbers, cargo, f"{returns[agent]:.2f}")
    return table


def status_line(batch: EnvBatch, e: int, step: int, returns: np.ndarray) -> str:
    """Step, score and junctions in one plain line."""
    held: dict[str, int] = {}
    for thing in batch.objects(e):
        if thing["type"].endswith("junction"):
            held[thing["owner"] or "neutral"] = held.get(thing["owner"] or "neutral", 0) + 1
    junctions = ", ".join(f"{name} {count}" for name, count in sorted(held.items())) or "none"
    hearts = int(batch.inventories()[e, :, ITEM["heart"]].sum())
    score = f"mean score {returns.mean():.3f}  hearts carried {hearts}"
    return f"step {step}/{batch.mission.max_steps}  {score}  junctions: {junctions}"


def frame(batch: EnvBatch, e: int, step: int, returns: np.ndarray, view: Viewport) -> RenderableType:
    """The whole picture of one step."""
    return Group(draw_map(batch, e, view), status_line(batch, e, step, returns), agent_table(batch, e, returns))
