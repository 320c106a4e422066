"""Tokens for nets that learn fast: what is a kind gets a plane of its own, what is an amount its logarithm.

The game numbers tags, vibes, owners and actions. Fed as numbers, tag 5 is half of tag 10 and a heart is 1/256: a net
must learn first that they are not. Recoded tokens have the shape of the game's own.
"""

import math
from typing import Literal

import numpy as np

from metta.game.observation import EnvInfo

Inputs = Literal["scaled", "kinds", "members"]  # how a net reads token values
PLANES = 256  # a token's feature is one byte
KINDS = 16  # planes of a feature whose number of values is not known
KIND_FEATURES = ("collective", "vibe", "last_action")
MEMBER_FEATURES = ("agent_id",)  # what tells the members of a team apart, and so who has which role
GLOBAL = 0xFE
AMOUNTS = ("inv:", "episode_completion_pct")  # what features begin with that tell what an agent has
HIGH = ":p1"  # ends the name of a feature that tells another's high byte
STEPS = (1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300)
TOLD = 2 + len(STEPS)  # of an amount: its logarithm, its hundredth, and whether it reaches each step


def recoding(info: EnvInfo, members: bool = False) -> tuple[np.ndarray, int]:
    """Plane and amount of each token, uint8 [256 * 256, 2] by feature * 256 + value, and the number of planes.

    With `members` agents are kinds too, by their numbers."""
    features = KIND_FEATURES + MEMBER_FEATURES * members
    table = np.zeros((256, 256, 2), np.uint8)
    planes = max(feature.id for feature in info.features) + 1
    for feature in info.features:
        table[feature.id, :, 0] = feature.id
        table[feature.id, :, 1] = [round(255 * math.log1p(value) / math.log(256)) for value in range(256)]
        kinds = len(info.tags) if feature.name == "tag" else KINDS if feature.name in features else 0
        for value in range(min(kinds, PLANES - planes)):
            table[feature.id, value] = planes + value, 255
        planes = min(PLANES, planes + kinds)
    return table.reshape(-1, 2), planes


def amounts_of(info: EnvInfo) -> list[str]:
    """Features that tell what an agent carries, what its team has and how late it is."""
    return [one.name for one in info.features if one.name.startswith(AMOUNTS) and not one.name.endswith(HIGH)]
