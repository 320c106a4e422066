"""Value over replacement: who plays with whom, and what the value is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metta.common.errors import UserError
from metta.eval.entries import Entry
from metta.eval.replacement import mixed_rounds, run_pickup
from metta.eval.settings import ContestSettings
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission

SMALL = {"missions": ["cogsguard_arena.basic"], "cogs": 3, "episodes": 3, "steps": 40, "workers": 1}


def settings(policy: str, **changes: Any) -> ContestSettings:
    return ContestSettings.model_validate({**SMALL, "policies": [policy], **changes})


def test_every_mix_plays_every_seed_with_the_pool_taking_turns():
    mission = build_mission(MissionSettings(name="cogsguard_arena.basic", cogs=4))
    own, one, two = Entry("own"), Entry("one"), Entry("two")
    rounds = mixed_rounds(mission, own, [one, two], (5, 6, 7), (5, 6, 7))
    assert all(sum(played.counts) == 4 for played in rounds)
    teams = {}
    for played in rounds:
        counts = dict(zip((entry.uri for entry in played.entries), played.counts, strict=True))
        for seed in played.seeds:
            teams[counts.get("own", 0), seed] = (counts.get("one", 0), counts.get("two", 0))
    assert set(teams) == {(k, seed) for k in range(5) for seed in (5, 6, 7)}
    assert [teams[k, 5] for k in range(5)] == [(2, 2), (2, 1), (1, 1), (1, 0), (0, 0)]
    assert [teams[k, 6] for k in range(5)] == [(2, 2), (1, 2), (1, 1), (0, 1), (0, 0)]


def test_a_policy_is_worth_nothing_among_its_own_kind():
    result = run_pickup(settings("noop"), ["noop"])
    assert result.value.mean == 0 and [mix.candidates for mix in result.mixes] == [0, 1, 2, 3]


def test_the_value_weighs_the_gains_by_the_places_held():
    result = run_pickup(settings("scout", missions=["cogsguard_arena.scout_tutorial"], steps=60), ["noop"])
    gains = np.array([mix.gain.mean for mix in result.mixes])
    assert gains[0] == 0 and (np.diff(gains) > 0).all()  # every scout more adds reward
    assert result.value.mean == pytest.approx((gains * np.arange(4)).sum() / 6)
    document = result.document()
    assert document["value_over_replacement"] == result.value.mean and document["episodes"] == 3
    last = document["mixes"][-1]
    assert last["vor"] == pytest.approx(last["score"] - document["replacement_mean"])
    assert len(result.table().rows) == 4


def test_a_pickup_goes_on_from_its_file(tmp_path: Path):
    out = tmp_path / "out.jsonl"
    whole = run_pickup(settings("scout", out=out), ["random"]).document()
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:3]))
    assert run_pickup(settings("scout", out=out), ["random"]).document() == whole


@pytest.mark.parametrize(
    ("changes", "pool", "message"),
    [
        ({}, [], "the pool is empty"),
        ({"policies": ["noop", "random"]}, ["noop"], "judges one policy, got 2"),
        ({"missions": ["cogsguard_arena.*"]}, ["noop"], "plays one mission"),
        ({}, ["rolee"], "did you mean role"),
        ({}, ["random,proportion=3"], "knows no proportion"),
    ],
)
def test_bad_input_is_refused(changes: dict[str, Any], pool: list[str], message: str):
    with pytest.raises(UserError, match=message):
        run_pickup(settings("noop", **changes), pool)


def test_teams_whose_replays_would_have_one_name_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="two teams would have the replay"):
        run_pickup(settings("noop", save_replay_dir=tmp_path), ["noop"])
