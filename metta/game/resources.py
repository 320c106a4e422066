"""Names of the game's things. Order matters: it fixes resource ids and observation features (rules 1.1, 8.2)."""

from typing import Any

from metta.common.errors import UserError, suggest

RESOURCES = (
    "energy", "heart", "hp", "influence", "solar",
    "oxygen", "carbon", "germanium", "silicon",
    "aligner", "scrambler", "miner", "scout",
)  # fmt: skip
ELEMENTS = ("oxygen", "carbon", "germanium", "silicon")
GEAR = ("aligner", "scrambler", "miner", "scout")
ROLE = "role_id"  # a resource of its own in missions that give roles: the role's number (rules 10.2)
ROLES = ("miner", "aligner", "scrambler", "scout")  # cycle of the role presets (rules 7.2)
VIBES = ("default", "heart", "gear", "scrambler", "aligner", "miner", "scout")
MOVES = ("noop", "move_north", "move_south", "move_west", "move_east")
CLIPS = "clips"


BOTH = 1 << 8  # a flat action from here on is a move and a vibe in one step


def move_and_vibe(move: Any, vibe: Any) -> Any:
    """The flat action that does both: ids among MOVES and VIBES, or arrays of them."""
    return BOTH + 8 * vibe + move


def action_names(vibes: bool) -> tuple[str, ...]:
    """Flat actions in id order; without `vibes` the five primary ones (rules 3)."""
    return MOVES + (tuple(f"change_vibe_{vibe}" for vibe in VIBES) if vibes else ())


def resource_id(name: str, where: str) -> int:
    """Id of a resource. Raises UserError that names `where` the word was written."""
    if name not in RESOURCES:
        raise UserError(f"unknown resource '{name}' in {where}{suggest(name, RESOURCES)}")
    return RESOURCES.index(name)


def resource_amounts(amounts: dict[str, int], where: str) -> dict[int, int]:
    """Amounts by resource id. Raises UserError for an unknown resource."""
    return {resource_id(name, where): amount for name, amount in amounts.items()}


def resource_rows(amounts: dict[str, int], where: str, sign: int = 1) -> list[list[int]]:
    """[resource id, sign * amount] for each entry. Raises UserError for an unknown resource."""
    return [[resource_id(name, where), sign * amount] for name, amount in amounts.items()]
