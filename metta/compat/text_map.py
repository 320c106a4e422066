"""The map in characters, as `mettagrid` prints it: `MapBuffer`, and the symbols it starts from."""

from typing import Any

Objects = dict[int, dict[str, Any]]
Grid = list[list[str]]
AGENTS = ["🟦", "🟧", "🟩", "🟨", "🟪", "🟥", "🟫", "⬛", "🟦", "🟧"]
DEFAULT_SYMBOL_MAP = {
    "wall": "⬜", "empty": "· ", "block": "📦", "agent": "🤖", "agent.agent": "🤖", "cursor": "🎯", "aoe": "· ",
    "?": "❓",
}  # fmt: skip


def get_symbol_for_object(obj: dict[str, Any], symbol_map: dict[str, str]) -> str:
    """An agent's square by its number; else the symbol of the type, of its part before a dot, or of `?`."""
    name = obj["type_name"]
    if name.startswith("agent") and 0 <= obj.get("agent_id", -1) < len(AGENTS):
        return AGENTS[obj["agent_id"]]
    return symbol_map.get(name) or symbol_map.get(name.split(".")[0]) or symbol_map.get("?", "❓")


def symbols_of(config: Any) -> dict[str, str]:
    """The symbols of a configured game."""
    found = dict(DEFAULT_SYMBOL_MAP)
    for one in config.game.objects.values():
        found |= {name: one.render_symbol for name in (one.render_name, one.name) if name}
    return found


def map_text(sim: Any) -> str:
    """The whole map of a simulation."""
    return MapBuffer(symbols_of(sim.config), sim.map_height, sim.map_width).render_full_map(sim.grid_objects())


class MapBuffer:
    """Draws things in a window of the map; arrows where the map goes on."""

    def __init__(self, symbol_map: dict[str, str], initial_height: int = 0, initial_width: int = 0) -> None:
        self._symbols = symbol_map
        self._top, self._left, self._height, self._width = 0, 0, initial_height, initial_width
        self._center: tuple[int | None, int | None] = (None, None)
        self._view: tuple[int | None, int | None] = (None, None)
        self._cursor: tuple[int | None, int | None] = (None, None)
        self._highlighted: int | None = None
        self._sources: list[tuple[int, int, int, str]] = []
        self._last: Grid | None = None

    def set_viewport(
        self,
        center_row: int | None = None,
        center_col: int | None = None,
        height: int | None = None,
        width: int | None = None,
    ) -> None:
        self._center, self._view = (center_row, center_col), (height, width)

    def center_viewport_on(self, row: int, col: int) -> None:
        self._center = (row, col)

    def move_viewport(self, delta_row: int = 0, delta_col: int = 0) -> None:
        row, col = self._center
        self._center = (None if row is None else row + delta_row, None if col is None else col + delta_col)

    def set_cursor(self, row: int | None, col: int | None) -> None:
        self._cursor = (row, col)

    def set_highlighted_agent(self, agent_id: int | None) -> None:
        self._highlighted = agent_id

    def set_aoe_sources(self, sources: list[tuple[int, int, int, str]]) -> None:
        """Row, column, reach and key of the symbol of what is shown on empty cells."""
        self._sources = list(sources)

    def get_bounds(self) -> tuple[int, int, int, int]:
        """First row and column, height and width of the map."""
        return self._top, self._left, self._height, self._width

    def get_viewport_bounds(self) -> tuple[int, int, int, int]:
        """First row and column, height and width of the window."""
        top, height = _window(self._center[0], self._view[0], self._top, self._height)
        left, width = _window(self._center[1], self._view[1], self._left, self._width)
        return top, left, height, width

    def get_last_grid(self) -> Grid | None:
        return self._last

    def render_full_map(self, grid_objects: Objects) -> str:
        return self.render(grid_objects, use_viewport=False)

    def render(self, grid_objects: Objects, use_viewport: bool = True) -> str:
        """Lines of cells, each two columns wide."""
        self._find_bounds(grid_objects)
        top, left, height, width = self.get_viewport_bounds() if use_viewport else self.get_bounds()
        empty = self._symbols.get("empty", "⬜")
        grid = [[empty] * width for _ in range(height)]
        for one in grid_objects.values():
            r, c = one["r"] - top, one["c"] - left
            if 0 <= r < height and 0 <= c < width:
                chosen = self._highlighted is not None and one.get("agent_id") == self._highlighted
                grid[r][c] = "⭐" if chosen else get_symbol_for_object(one, self._symbols)
        row, col = self._cursor
        if row is not None and col is not None and 0 <= row - top < height and 0 <= col - left < width:
            grid[row - top][col - left] = self._symbols.get("cursor", "🎯")
        self._frame(grid, top, left)
        self._cover(grid, top, left, empty)
        self._last = grid
        return "\n".join(map("".join, grid))

    def _find_bounds(self, grid_objects: Objects) -> None:
        walls = [one for one in grid_objects.values() if one["type_name"] == "wall"] or list(grid_objects.values())
        rows, cols = [one["r"] for one in walls] or [0], [one["c"] for one in walls] or [0]
        self._top, self._left = min(rows), min(cols)
        self._height, self._width = max(rows) - self._top + 1, max(cols) - self._left + 1

    def _frame(self, grid: Grid, top: int, left: int) -> None:
        """Arrows on the sides where the map goes on; the last column has no space behind them."""
        height, width = len(grid), len(grid[0])
        up, down = top > self._top, top + height < self._top + self._height
        west, east = left > self._left, left + width < self._left + self._width
        for shown, line, arrow in ((up, grid[0], "▲"), (down, grid[-1], "▼")):
            if shown:
                line[:] = [f"{arrow} "] * (width - 1) + [arrow]
        for row in grid:
            if west:
                row[0] = "◀ "
            if east:
                row[-1] = "▶"
        corners = ((up and west, 0, 0, "◤ "), (up and east, 0, -1, "◥"), (down and west, -1, 0, "◣ "),
                   (down and east, -1, -1, "◢"))  # fmt: skip
        for shown, r, c, arrow in corners:
            if shown:
                grid[r][c] = arrow

    def _cover(self, grid: Grid, top: int, left: int, empty: str) -> None:
        for row, col, reach, key in self._sources:
            symbol = self._symbols.get(key, self._symbols.get("aoe", "• "))
            for r in range(max(0, row - reach - top), min(len(grid), row + reach - top + 1)):
                for c in range(max(0, col - reach - left), min(len(grid[0]), col + reach - left + 1)):
                    grid[r][c] = symbol if grid[r][c] == empty else grid[r][c]


def _window(center: int | None, size: int | None, first: int, length: int) -> tuple[int, int]:
    """First cell and size of a window that stays on the map."""
    if center is None or size is None:
        return first, length
    size = max(1, min(length, size))
    return min(max(first, center - size // 2), first + length - size), size
