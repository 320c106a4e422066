"""Maps that missions draw, as docs/missions.md tells it: read, drawn, and what becomes of their pads."""

import string

import numpy as np

from metta.game.maps import cells
from metta.game.mission import Mission

USUAL = {
    ".": "empty", "#": "wall", "@": "agent.{first}", "J": "junction", "j": "{first}:junction", "H": "{first}:hub",
    "a": "{first}:aligner", "x": "{first}:scrambler", "m": "{first}:miner", "s": "{first}:scout",
    "O": "oxygen_extractor", "C": "carbon_extractor", "G": "germanium_extractor", "S": "silicon_extractor",
}  # fmt: skip
FREE = {
    "empty": cells.EMPTY, "wall": cells.WALL, "junction": cells.JUNCTION, "oxygen_extractor": cells.OXYGEN,
    "carbon_extractor": cells.CARBON, "germanium_extractor": cells.GERMANIUM, "silicon_extractor": cells.SILICON,
}  # fmt: skip
OWNED = {
    "{}:junction": cells.TEAM_JUNCTION, "{}:hub": cells.HUB, "{}:aligner": cells.ALIGNER, "{}:miner": cells.MINER,
    "{}:scrambler": cells.SCRAMBLER, "{}:scout": cells.SCOUT, "agent.{}": cells.AGENT,
}  # fmt: skip


def code_names(teams: list[str]) -> dict[str, int]:
    owned = {what.format(team): kind | k << 5 for k, team in enumerate(teams) for what, kind in OWNED.items()}
    return FREE | owned


def usual(teams: list[str]) -> dict[str, str]:
    return {letter: name.format(first=teams[0]) for letter, name in USUAL.items()}


def read(mission: Mission) -> np.ndarray:
    """Cell codes of a mission's picture, uint8 [H, W]."""
    teams = list(mission.teams)
    codes, names = code_names(teams), usual(teams) | mission.map.legend
    return np.array([[codes[names[cell]] for cell in row] for row in mission.map.picture.split()], np.uint8)


def draw(grid: np.ndarray, teams: list[str], rng: np.random.Generator) -> dict[str, object]:
    """Settings of a map that show the grid: mostly in the usual characters, else in free letters."""
    known = {name: letter for letter, name in usual(teams).items()}
    free = [letter for letter in rng.permutation([*string.ascii_letters]).tolist() if letter not in USUAL]
    letters, legend = {}, {}
    for name, code in code_names(teams).items():
        if code not in grid:
            free += [known[name]] if known.get(name, "").isalpha() else []
            continue
        if name in known and rng.random() < 0.8:
            letters[code] = known[name]
        else:
            letters[code] = free.pop()
            legend[letters[code]] = name
    picture = "".join("".join(letters[code] for code in row) + "\n" for row in grid.tolist())
    return {"picture": picture, "legend": legend}


def check(mission: Mission, pool: np.ndarray) -> None:
    """Every map is the picture, with as many of its pads as there are agents."""
    drawn = read(mission)
    for grid in pool:
        gone = grid != drawn
        assert (grid[gone] == cells.EMPTY).all() and (drawn[gone] & cells.KIND_MASK == cells.AGENT).all()
        for team, size in enumerate(mission.team_sizes):
            assert (grid == cells.AGENT | team << cells.TEAM_SHIFT).sum() == size
