"""What a map remembers of the game, told without torch: things that stay where they are, and what is told of each."""

from metta.game.observation import EnvInfo

FEATURES = ("tag", "collective", "lp:east", "lp:west", "lp:north", "lp:south")  # that a map is drawn from
TYPE, BARRIER, MOVER = "type:", "type:wall", "type:agent"  # tags
OWNERS = 3  # nobody, the agent's own team, another
MOVES = 4  # north, south, west, east: the moves' order
FOUND = MOVES  # the number of a thing that tells that there is one
NUMBERS = MOVES + 6  # told of the nearest thing of a kind and owner
MOST_SLOTS = 254  # codes of a byte but for free cells and walls
SHARES = 2  # told of a patch of cells: how much is unknown, and how fresh the rest is


def kinds_of(info: EnvInfo) -> list[str]:
    """Tags of the kinds of things: all types but walls and agents."""
    return [tag for tag in info.tags if tag.startswith(TYPE) and tag not in (BARRIER, MOVER)]


def slots_of(info: EnvInfo) -> int:
    """What is looked for: the unknown, and each kind by owner."""
    return 1 + OWNERS * len(kinds_of(info))


def code_bytes(info: EnvInfo) -> int:
    """Bytes with a bit for each code of a cell: what is looked for, free cells and walls."""
    return -(-(slots_of(info) + 2) // 8)
