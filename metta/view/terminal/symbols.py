"""How things look: two columns each, in every terminal.

Pictures are of those that Unicode 9 or older calls wide, so that terminals agree on their width; all else is ASCII.
"""

from metta.game.resources import CLIPS, ELEMENTS, GEAR
from metta.view.palette import PALETTE, Look, looks_of
from metta.view.scene import NEUTRAL, Cog, Thing

PICTURES = {"hub": "🏠", "aligner": "🔗", "scrambler": "🌀", "miner": "🔨", "scout": "🔭", "chest": "📦"}
LETTERS = {"hub": "HH", "aligner": "a+", "scrambler": "x+", "miner": "m+", "scout": "s+", "chest": "CC"}
ELEMENT_SIGNS = dict(zip(ELEMENTS, ("O ", "C ", "Ge", "Si"), strict=True))  # chemists' own
ROLE_LETTERS = {"aligner": "A", "scrambler": "X", "miner": "M", "scout": "S"}
NO_ROLE_LETTER = "@"
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

WALL, WALL_STYLE = "##", "grey35 on grey35"
# Under all else, whatever the terminal's own colours are.
GROUND = f"{PALETTE.ink['text'].dark} on {PALETTE.ink['void'].dark}"
FLOOR, FLOOR_STYLE = ". ", "grey30"
TARGET, TARGET_STYLE = "><", "bold grey7 on #ffffff"  # of the followed cog, as far as its policy tells
AREA_SHARE = 0.22  # of its owner's colour behind the floor of an area
OWNER_LETTERS = {NEUTRAL: "()", CLIPS: "<!"}


def look_of(owner: str, teams: list[str]) -> Look:
    """Colour and sign of a team, of the clips, or of what belongs to nobody."""
    if owner in (NEUTRAL, CLIPS):
        return PALETTE.neutral if owner == NEUTRAL else PALETTE.clips
    return looks_of(teams)[owner]


def owner_style(owner: str, teams: list[str]) -> str:
    return look_of(owner, teams).dark


def area_style(colours: list[str]) -> str:
    """Background of a floor that lies in areas of owners of these colours."""
    if not colours:
        return ""
    parts = [[int(colour[at : at + 2], 16) for colour in colours] for at in (1, 3, 5)]
    return " on #" + "".join(f"{int(AREA_SHARE * sum(part) / len(part)):02x}" for part in parts)


def junction_sign(owner: str, teams: list[str], pictures: bool) -> str:
    if pictures:
        return look_of(owner, teams).sign
    return f"({DIGITS[1 + teams.index(owner)]}" if owner in teams else OWNER_LETTERS[owner]


def thing_sign(thing: Thing, teams: list[str], pictures: bool) -> tuple[str, str]:
    """Two columns of text and their style."""
    if thing.kind == "junction":
        return junction_sign(thing.owner, teams, pictures), owner_style(thing.owner, teams)
    element = thing.kind.removesuffix("_extractor")
    if element in ELEMENT_SIGNS:
        return ELEMENT_SIGNS[element], element_style(element)
    style = f"bold {owner_style(thing.owner, teams) if thing.kind == 'hub' else role_colour(thing.kind)}"
    return (PICTURES if pictures else LETTERS).get(thing.kind, "??"), style


def element_style(element: str) -> str:
    return f"bold {PALETTE.elements[element].dark}"


def role_colour(role: str) -> str:
    return PALETTE.gear.get(role, PALETTE.gear["none"]).dark


def cog_sign(cog: Cog) -> str:
    """Initial of the gear (@: none) and number, in base 36."""
    return ROLE_LETTERS.get(cog.gear, NO_ROLE_LETTER) + DIGITS[cog.number % len(DIGITS)]


def cog_style(cog: Cog, followed: bool = False, foe: bool = False) -> str:
    """On the colour of its role; the followed cog in that colour, those of other teams with underlined letters."""
    colour = role_colour(cog.gear)
    return f"bold {colour} on grey7" if followed else f"bold {'underline ' * foe}grey7 on {colour}"


def legend(teams: list[str], pictures: bool) -> list[tuple[str, str, str]]:
    """All signs: text, style, meaning."""
    signs = PICTURES if pictures else LETTERS
    owners = (NEUTRAL, *teams, CLIPS)
    cogs = [(f"{letter}n", f"bold grey7 on {role_colour(role)}", role) for role, letter in ROLE_LETTERS.items()]
    return [
        (f"{NO_ROLE_LETTER}n", f"bold grey7 on {role_colour('')}", "cog n, no gear"),
        *cogs,
        (TARGET, TARGET_STYLE, "where the cog goes"),
        (signs["hub"], "bold", "hub"),
        *((signs[gear], f"bold {role_colour(gear)}", f"{gear} gear") for gear in GEAR),
        *((ELEMENT_SIGNS[element], element_style(element), element) for element in ELEMENTS),
        *((junction_sign(who, teams, pictures), owner_style(who, teams), f"junction: {who}") for who in owners),
    ]
