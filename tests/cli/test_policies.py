"""Commands about policies."""

from metta.policy.nets.presets import preset_names
from metta.policy.stored.uri import BUILT_IN
from tests.cli.conftest import Cogames


def test_everything_that_plays_or_learns_is_listed_with_its_class(cogames: Cogames):
    rows = cogames("policies", "--format", "json").document["policies"]
    assert {row["name"] for row in rows if row["use"] == "play"} == set(BUILT_IN)
    nets = {row["name"]: row["class"] for row in rows if row["use"] == "train"}
    assert nets == {name: f"configs/agent/{name}.yaml" for name in preset_names()}
    assert all(row["description"] for row in rows)
