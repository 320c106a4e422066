"""A scripted policy: one object for each agent, which is shown what the agent sees and names an action.

    cogames play -p class=my_policy.MyPolicy
    cogames scrimmage -p class=my_policy.MyPolicy,kw.gear=scout

`class=my_policy.MyPolicy,kw.gear=scout` builds MyPolicy(info, gear="scout"); values come as text.
"""

import random

import numpy as np

NOWHERE = 0xFF  # place of the padding behind the last token
WHOLE = 0xFE  # place of what is not in any cell: the step, the team's stock, the last action
MIDDLE = 5  # row and column of the agent itself in the window of 11 x 11 cells
HERE = MIDDLE << 4 | MIDDLE  # its place
WANDER = 12  # steps that it walks one way when it sees nothing to do


class MyPolicy:
    """Puts on gear where it sees the station, then walks to the nearest extractor and mines it."""

    def __init__(self, info, gear: str = "miner") -> None:
        """`info` tells the names behind the numbers of observations and actions (metta.game.observation.EnvInfo)."""
        self.features = {feature.id: feature.name for feature in info.features}
        self.tags = info.tags
        self.gear = gear

    def reset(self, agent: int, seed: int) -> None:
        """An episode begins: forget everything. `agent` is this agent's number in the team."""
        self.random = random.Random(seed)
        self.direction, self.left = "move_north", 0

    def act(self, observation: np.ndarray) -> str:
        """Tokens uint8 [200, 3], each (place, feature, value) -> the name of an action, or its number."""
        things, mine, moved = self.read(observation)
        wanted = "extractor" if mine.get(f"inv:{self.gear}") else f":{self.gear}"
        seen = [cell for cell, names in things.items() if any(name.endswith(wanted) for name in names)]
        if seen and moved:
            return self.towards(min(map(offset, seen), key=lambda way: abs(way[0]) + abs(way[1])))
        if not moved or self.left == 0:  # stuck, or nothing has come into sight: try another way
            others = [f"move_{way}" for way in ("north", "south", "west", "east")]
            self.direction, self.left = self.random.choice(others), WANDER
        self.left -= 1
        return self.direction

    def read(self, observation: np.ndarray) -> tuple[dict, dict, bool]:
        """What is around: names of things by their place; what is true of oneself; did the last move succeed?"""
        things, mine, moved = {}, {}, False
        for place, feature, value in observation[observation[:, 0] != NOWHERE].tolist():
            name = self.features[feature]
            if place == WHOLE:
                moved |= name == "last_action_move" and value == 1
            elif place == HERE:
                mine[name] = value
            elif name == "tag":
                things.setdefault(place, []).append(self.tags[value])
            elif name == "collective" and value == mine["collective"]:
                things.setdefault(place, []).append("ours")
        return things, mine, moved

    def towards(self, way: tuple[int, int]) -> str:
        """A step nearer; a step into a thing uses it."""
        down, right = way
        if abs(down) > abs(right):
            return "move_south" if down > 0 else "move_north"
        return "move_east" if right > 0 else "move_west"


def offset(place: int) -> tuple[int, int]:
    """How many rows down and columns right of the agent a place is, whose byte is row and column of the window."""
    return (place >> 4) - MIDDLE, (place & 15) - MIDDLE
