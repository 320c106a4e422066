"""What two nets differ in is told in a few words, whatever they were built for."""

import re
from dataclasses import replace
from typing import Any

import pytest

from metta.game.mission import Mission
from metta.game.observation import Feature, env_info
from metta.policy.interface import NetHeads, SpaceInfo
from metta.policy.nets.components.registry import parse_component
from metta.policy.nets.earlier import components_of
from metta.policy.stored.differences import info_differences, net_differences
from metta.policy.stored.forms.match import Architecture

GAME = env_info(Mission())
OTHER = SpaceInfo((4,), "float32", (2,), 1)
LSTM = components_of("lstm", {"hidden_size": 8})
NET = Architecture("lstm", LSTM, NetHeads(), GAME)
FIRST, *REST = GAME.features


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"components": components_of("tutorial", {})}, ["net lstm, not tutorial"]),
        ({"components": components_of("lstm", {"hidden_size": 12})}, ["hidden_size=8, not 12"]),
        (
            {"components": {**LSTM, "more": parse_component("more", {"kind": "mlp", "hidden": 3})}},
            ["without more"],
        ),
        (
            {
                "components": {
                    **LSTM,
                    "net": parse_component("net", {"kind": "token_mlp", "hidden": 9, "input": "observations"}),
                }
            },
            ["net.hidden=8, not 9"],
        ),
        ({"heads": NetHeads(auxiliary=True)}, ["the auxiliary head"]),
        ({"info": replace(GAME, num_agents=3)}, []),
        ({"info": OTHER}, ["environment of the game, not of another library"]),
        (
            {"info": replace(GAME, action_names=GAME.action_names[:5]), "components": components_of("lstm", {})},
            ["hidden_size=8, not 128", f"{len(GAME.action_names)} actions, not 5 (with {GAME.action_names[5]}"],
        ),
    ],
)
def test_nets_differ_in_kind_settings_heads_and_environment(changes: dict[str, Any], expected: list[str]):
    found = net_differences(NET, replace(NET, **changes))
    assert len(found) == len(expected) and all(map(str.startswith, found, expected)), found


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"features": (*REST, FIRST)}, "features in another order"),
        ({"features": (replace(FIRST, normalization=7.5), *REST)}, f"other normalizations of {FIRST.name}"),
        ({"features": (*GAME.features, Feature(250, "smell", 1.0))}, r"features, not \d+ \(without smell\)"),
        (
            {"features": (replace(FIRST, name="smell"), *REST)},
            rf"other features \(with {FIRST.name} and without sm",
        ),
        ({"tags": GAME.tags[1:]}, rf"tags, not \d+ \(with {GAME.tags[0]}\)"),
        ({"tags": GAME.tags[::-1]}, "tags in another order"),
        ({"window": (9, 7)}, r"window \(11, 11\), not \(9, 7\)"),
        ({"num_tokens": 150}, "num tokens 200, not 150"),
    ],
)
def test_environments_of_the_game_differ_by_name(changes: dict[str, Any], expected: str):
    (found,) = info_differences(GAME, replace(GAME, **changes))
    assert re.search(expected, found), found


def test_other_environments_differ_in_their_spaces_but_not_in_the_number_of_agents():
    assert info_differences(OTHER, replace(OTHER, num_agents=5)) == []
    changed = SpaceInfo((2, 3), "uint8", (2, 3), 1)
    assert info_differences(OTHER, changed) == [
        "observation shape (4,), not (2, 3)", "observation dtype float32, not uint8", "action sizes (2,), not (2, 3)"
    ]  # fmt: skip
    assert info_differences(OTHER, GAME) == ["environment of another library, not of the game"]
