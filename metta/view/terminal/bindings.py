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
    Binding(("+", "="), "+", "faster", "faster"),
    Binding(("-", "_"), "-", "slower", "slower"),
    Binding(("f",), "f", "follow, let go", "toggle_follow"),
    Binding(("tab",), "tab", "next cog", "next_cog"),
    Binding(("backtab",), "shift-tab", "cog before", "previous_cog"),
    Binding(tuple("0123456789"), "0 … 9", "follow that cog", "choose_cog"),
    Binding(("left", "h"), "left h", "map: west", "pan"),
    Binding(("down", "j"), "down j", "map: south", "pan"),
    Binding(("up", "k"), "up k", "map: north", "pan"),
    Binding(("right", "l"), "right l", "map: east", "pan"),
    Binding(("c",), "c", "map: the hub", "centre_on_hub"),
    Binding(("t",), "t", "take cog over, give back", "toggle_takeover"),
    Binding(tuple("wasd"), "w a s d", "taken cog: move", "move"),
    Binding(("v",), "v", "taken cog: next vibe", "next_vibe"),
    Binding(("?",), "?", "this help", "toggle_help"),
    Binding(("q",), "q", "quit", "quit"),
)
