"""The keys and what they do: the one list that the viewer obeys, the help shows and the guide repeats."""

from typing import NamedTuple


class Binding(NamedTuple):
    keys: tuple[str, ...]  # as `keys.decode` names them
    shown: str  # how people write them
    does: str
    action: str  # method of the viewer


BINDINGS = (
    Binding((" ",), "space", "pause, go on", "toggle_pause"),
    Binding((".", "n"), ". n", "one step", "single_step"),
    Binding(("+", "="), "+", "faster, up to 64x", "faster"),
    Binding(("-", "_"), "-", "slower, down to 0.25x", "slower"),
    Binding(("tab",), "tab", "follow the next cog", "next_cog"),
    Binding(("backtab",), "shift-tab", "follow the cog before", "previous_cog"),
    Binding(tuple("0123456789"), "0-9", "follow that cog", "choose_cog"),
    Binding(("f",), "f", "map: with the cog, or still", "toggle_follow"),
    Binding(("left", "down", "up", "right", *"hjkl"), "arrows hjkl", "move the map", "pan"),
    Binding(("c",), "c", "map: around the hub", "centre_on_hub"),
    Binding(("t",), "t", "take the cog over, give back", "toggle_takeover"),
    Binding(tuple("wasd"), "w a s d", "taken cog: move", "move"),
    Binding(("v",), "v", "taken cog: next vibe", "next_vibe"),
    Binding(("?",), "?", "help, its next page", "next_help"),
    Binding(("escape",), "esc", "close the help", "close_help"),
    Binding(("\x0c",), "ctrl-l", "draw the screen anew", "redraw"),
    Binding(("q",), "q", "quit", "quit"),
)
