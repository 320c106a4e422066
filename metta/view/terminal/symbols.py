"""How things look: two columns each, in every terminal.

Pictures are of those that Unicode 9 or older calls wide, so that terminals agree on their width; all else is ASCII.
"""

from metta.game.resources import CLIPS, ELEMENTS, GEAR
from metta.view.scene import NEUTRAL, Cog, Thing

PICTURES = {"hub": "🏠", "aligner": "🔗", "scrambler": "🌀", "miner": "🔨", "scout": "🔭", "chest": "📦"}
LETTERS = {"hub": "HH", "aligner": "a+", "scrambler": "x+", "miner": "m+", "scout": "s+", "chest": "CC"}
STATION_STYLES = {"hub": "bold white", "chest": "bold white"}  # gear stations: the colour of their gear
ELEMENT_SIGNS = dict(zip(ELEMENTS, ("O ", "C ", "Ge", "Si"), strict=True))  # chemists' own
ELEMENT_STYLE = "bold green3"
ROLE_LETTERS = {"aligner": "A", "scrambler": "X", "miner": "M", "scout": "S"}
ROLE_COLOURS = {"aligner": "orchid1", "scrambler": "turquoise2", "miner": "gold1", "scout": "light_green"}
NO_ROLE_LETTER, NO_ROLE_COLOUR = "@", "white"
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

WALL, WALL_STYLE = "##", "grey35 on grey35"
FLOOR, FLOOR_STYLE = ". ", "grey30"
TARGET, TARGET_STYLE = "><", "bold white on grey42"  # of the followed cog, as far as its policy tells
FRIEND_AREA, FOE_AREA, CONTESTED_AREA = " on #0c2038", " on #38100f", " on #2a1238"  # behind floors
TEAM_PICTURES, TEAM_COLOURS = ("🔵", "🔶", "💚", "💜", "💛", "🔷", "🌕", "🌑"), ("deep_sky_blue1", "orange1", "green3")
OWNER_LETTERS = {NEUTRAL: "()", CLIPS: "<!"}


def owner_style(owner: str, teams: list[str]) -> str:
    """Colour of a team, of the clips, or of what belongs to nobody."""
    if owner in teams:
        return TEAM_COLOURS[teams.index(owner) % len(TEAM_COLOURS)]
    return "indian_red1" if owner == CLIPS else "white"


def junction_sign(owner: str, teams: list[str], pictures: bool) -> str:
    if owner in teams:
        return TEAM_PICTURES[teams.index(owner)] if pictures else f"({teams.index(owner) + 1}"
    if pictures:
        return "🔴" if owner == CLIPS else "⚪"
    return OWNER_LETTERS[owner]


def thing_sign(thing: Thing, teams: list[str], pictures: bool) -> tuple[str, str]:
    """Two columns of text and their style."""
    if thing.kind == "junction":
        return junction_sign(thing.owner, teams, pictures), owner_style(thing.owner, teams)
    element = thing.kind.removesuffix("_extractor")
    if element in ELEMENT_SIGNS:
        return ELEMENT_SIGNS[element], ELEMENT_STYLE
    style = STATION_STYLES.get(thing.kind) or f"bold {role_colour(thing.kind)}"
    return (PICTURES if pictures else LETTERS).get(thing.kind, "??"), style


def role_colour(role: str) -> str:
    return ROLE_COLOURS.get(role, NO_ROLE_COLOUR)


def cog_sign(cog: Cog) -> str:
    """Initial of the gear (@: none) and number, in base 36."""
    return ROLE_LETTERS.get(cog.gear, NO_ROLE_LETTER) + DIGITS[cog.number % len(DIGITS)]


def cog_style(cog: Cog, followed: bool = False, foe: bool = False) -> str:
    """On the colour of its role; the followed cog in that colour, those of other teams with red letters."""
    colour = role_colour(cog.gear)
    return f"bold {colour} on grey7 underline" if followed else f"bold {'red3' if foe else 'grey7'} on {colour}"


def legend(teams: list[str], pictures: bool) -> list[tuple[str, str, str]]:
    """All signs: text, style, meaning."""
    signs = PICTURES if pictures else LETTERS
    owners = (NEUTRAL, *teams, CLIPS)
    cogs = [(f"{letter}n", f"bold grey7 on {role_colour(role)}", role) for role, letter in ROLE_LETTERS.items()]
    return [
        (f"{NO_ROLE_LETTER}n", f"bold grey7 on {NO_ROLE_COLOUR}", "cog n, no gear"),
        *cogs,
        (TARGET, TARGET_STYLE, "where the cog goes"),
        (signs["hub"], STATION_STYLES["hub"], "hub"),
        *((signs[gear], f"bold {role_colour(gear)}", f"{gear} gear") for gear in GEAR),
        *((ELEMENT_SIGNS[element], ELEMENT_STYLE, element) for element in ELEMENTS),
        *((junction_sign(who, teams, pictures), owner_style(who, teams), f"junction: {who}") for who in owners),
    ]
