"""What the names of an environment's features, tags and actions mean to a scripted policy."""

import numpy as np

from metta.game.observation import EnvInfo
from metta.game.resources import ELEMENTS, GEAR, RESOURCES, VIBES
from metta.policy.scripted import layout as L

FEATURES = {
    "last_action": L.FE_LAST_ACTION, "vibe": L.FE_VIBE, "tag": L.FE_TAG, "collective": L.FE_COLLECTIVE,
    "lp:east": L.FE_EAST, "lp:west": L.FE_WEST, "lp:north": L.FE_NORTH, "lp:south": L.FE_SOUTH,
}  # fmt: skip


def make_tables(info: EnvInfo, plan: np.ndarray) -> L.Tables:
    """Tables for environments of this kind; `plan` int32 as in `metta.policy.scripted.plans`."""
    feature, tag = np.zeros(256, np.int32), np.zeros(256, np.int32)
    for found in info.features:
        feature[found.id] = feature_meaning(found.name)
    for k, name in enumerate(info.tags):
        tag[k] = tag_meaning(name)
    actions = {name: k for k, name in enumerate(info.action_names)}
    vibe_action = [-1] + [actions.get(f"change_vibe_{gear}", -1) for gear in GEAR]
    vibe = [-1] + [VIBES.index(gear) for gear in GEAR]
    return L.Tables(feature, tag, np.array(vibe_action, np.int32), np.array(vibe, np.int32), plan)


def feature_meaning(name: str) -> int:
    base = name.removeprefix("inv:").removesuffix(":p1")
    second = int(name.endswith(":p1"))
    if name.startswith("inv:collective:"):
        return L.FE_STOCK + 2 * ELEMENTS.index(base.removeprefix("collective:")) + second
    if name.startswith("inv:") and base in RESOURCES:
        return L.FE_ITEM + 2 * RESOURCES.index(base) + second
    return FEATURES.get(name, L.FE_NOTHING)


def tag_meaning(name: str) -> int:
    """Kind of thing of a `type:` tag; station names carry their team's short name."""
    kind = name.removeprefix("type:")
    plain = {"wall": L.TAG_WALL, "agent": L.TAG_AGENT, "junction": L.JUNCTION, "c:junction": L.TEAM_JUNCTION}
    if kind in plain:
        return plain[kind]
    last = kind.rpartition(":")[2]
    if name.startswith("type:") and last == "hub":
        return L.HUB
    if name.startswith("type:") and last in GEAR:
        return L.STATION + GEAR.index(last)
    element = kind.removesuffix("_extractor")
    return L.EXTRACTOR + ELEMENTS.index(element) if element in ELEMENTS else 0
