"""Value over replacement: who plays with whom, and what the value is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metta.common.errors import UserError
from metta.eval.match import Player
from metta.eval.replacement import mixed_teams, run_pickup
from metta.eval.settings import ContestSettings
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission

SMALL = {"missions": ["cogsguard_arena.basic"], "cogs": 3, "episodes": 3, "steps": 40, "workers": 1}


def settings(policy: str, **changes: Any) -> ContestSettings:
    return ContestSettings.model_validate({**SMALL, "policies": [policy], **changes})


def test_every_mix_plays_every_episode_with_the_pool_taking_turns():
    mission = build_mission(MissionSettings(name="cogsguard_arena.basic", cogs=4))
    own, one, two = (Player(policy=str(k) * 64, seats=4, name=name) for k, name in enumerate(("own", "one", "two")))
    teams = {}
    for k, players, episodes in mixed_teams(mission, own, [one, two], 3):
        seats = {player.name: player.seats for player in players}
        assert sum(seats.values()) == 4 and seats.get("own", 0) == k
        teams |= {(k, episode): (seats.get("one", 0), seats.get("two", 0)) for episode in episodes}
    assert set(teams) == {(k, episode) for k in range(5) for episode in range(3)}
    assert [teams[k, 0] for k in range(5)] == [(2, 2), (2, 1), (1, 1), (1, 0), (0, 0)]
    assert [teams[k, 1] for k in range(5)] == [(2, 2), (1, 2), (1, 1), (0, 1), (0, 0)]


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
        ({"policies": ["noop,team=cogs"]}, ["random"], "knows no proportion and no team"),
    ],
)
def test_bad_input_is_refused(changes: dict[str, Any], pool: list[str], message: str):
    with pytest.raises(UserError, match=message):
        run_pickup(settings("noop", **changes), pool)


def test_teams_whose_replays_would_have_one_name_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="two teams would have the replay"):
        run_pickup(settings("role?miner=4", save_replay_dir=tmp_path), ["role?scout=4"])
