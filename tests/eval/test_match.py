"""A match says all that its result follows from: who sits where, on which seeds, under which limits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from metta.common.errors import UserError
from metta.eval.contest import run_contest
from metta.eval.entries import parse_entries, share_seats
from metta.eval.match import BATCH, Match, MatchResult, Player, joined
from metta.eval.playing import play_match
from metta.eval.replay.file import read_replay
from metta.eval.settings import ContestSettings
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission, load_mission, mission_names
from metta.game.observation import env_info
from metta.policy.stored.uri import make_policy
from metta.policy.team import draw_seats

SMALL = build_mission(MissionSettings(name="cogsguard_arena.basic", max_steps=6))
TWO = build_mission(MissionSettings(name="cogsguard_arena.basic", variants=["multi_team"], max_steps=6))
POLICY, OTHER = "a" * 64, "b" * 64


def match(**changes: Any) -> Match:
    players = (Player(policy=POLICY, seats=8),)
    said = {"mission": SMALL, "players": players, "seeds": (4, 5, 9), "map_seeds": (1, 2, 3), "engine": POLICY}
    return Match(**{**said, **changes})


# Who sits where


def test_a_policy_can_be_given_a_whole_team(tmp_path: Path):
    who = ["role,team=cogs_blue", "random,team=cogs_green,proportion=3", "noop,team=cogs_green"]
    said = {"variants": ["multi_team"], "policies": who, "episodes": 2, "steps": 8, "save_replay_dir": tmp_path}
    (summary,) = run_contest(ContestSettings.model_validate(said)).matches
    assert [(player.name, player.team, player.seats) for player in summary.match.players] == [
        ("role", "cogs_blue", 8),
        ("random", "cogs_green", 6),
        ("noop", "cogs_green", 2),
    ]
    for row in summary.rows:
        header = read_replay(tmp_path / str(row.replay)).header
        teams = [header.collectives[agent.team] for agent in header.agents]
        assert [summary.match.players[seat].team for seat in row.seats] == teams
    assert summary.rows[0].seats != summary.rows[1].seats
    teams = [policy["team"] for policy in summary.document()["mission_summary"]["policy_summaries"]]
    assert teams == ["cogs_blue", "cogs_green", "cogs_green"]


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        (["role,team=cogs_red", "noop,team=cogs_blue"], "no such team .*; there are: cogs_green, cogs_blue"),
        (["role,team=cogs_blu", "noop"], "did you mean cogs_blue"),
        (["role,team=cogs_blue", "noop"], "noop has no team, others do"),
        (["role,team=cogs_blue"], "nobody plays cogs_green"),
        (["role,team=cogs_blue"] * 9 + ["noop,team=cogs_green"], "9 policies cannot share 8 agents"),
        (["role,team="], "names no team"),
    ],
)
def test_teams_that_cannot_be_filled_are_refused_in_one_line(entries: list[str], problem: str):
    with pytest.raises(UserError, match=problem):
        share_seats(parse_entries(entries), TWO)


@given(st.integers(0, 2**40), st.permutations(range(5)))
def test_seats_are_drawn_within_the_teams(seed: int, order: list[int]):
    counts, blocks = [2, 3, 1, 4, 2], [order[:2], order[2:]]
    seats = draw_seats(counts, blocks, seed)
    size = sum(counts[policy] for policy in blocks[0])
    assert np.bincount(seats).tolist() == counts
    assert set(seats[:size]) == set(blocks[0]) and set(seats[size:]) == set(blocks[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"players": (Player(policy=POLICY, seats=7),)},
        {"players": (Player(policy=POLICY, seats=8, team="cogs_blue"),)},
        {"mission": TWO, "players": (Player(policy=POLICY, seats=16, team="cogs_blue"),)},
        {"mission": TWO, "players": tuple(Player(policy=POLICY, seats=8, team=team) for team in (None, "cogs_blue"))},
        {"map_seeds": (1, 2)},
        {"seeds": (), "map_seeds": ()},
        {"seeds": [[0, 10**12]]},
    ],
)
def test_a_match_in_which_not_everyone_has_a_seat_is_none(changes: dict[str, Any]):
    with pytest.raises(ValidationError):
        match(**changes)


# What it is known by


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_a_match_comes_back_from_its_json_as_it_was(seeds: list[int]):
    whole = match(seeds=tuple(seeds), map_seeds=tuple(reversed(seeds)))
    again = Match.model_validate_json(whole.model_dump_json())
    assert again == whole and again.digest == whole.digest


def test_the_missions_of_matches_come_back_with_the_same_rules():
    for mission in map(load_mission, mission_names()):
        whole = match(mission=mission, players=(Player(policy=POLICY, seats=mission.agents),))
        assert Match.model_validate_json(whole.model_dump_json()).mission == mission


def test_the_digest_is_of_what_decides_the_numbers_and_of_nothing_else():
    renamed = Player(policy=POLICY, seats=8, name="mine", uri="./mine", proportion=3)
    mission = SMALL.model_copy(update={"name": "mine", "description": "?"})
    assert match(players=(renamed,), mission=mission).digest == match().digest
    others = [
        match(players=(Player(policy=OTHER, seats=8),)),
        match(players=(Player(policy=POLICY, seats=8, team="cogs"),)),
        match(mission=build_mission(MissionSettings(name="cogsguard_arena.basic", max_steps=7))),
        match(seeds=(4, 5, 10)),
        match(map_seeds=(1, 2, 4)),
        match(action_timeout_ms=251),
        match(engine=OTHER),
    ]
    assert len({one.digest for one in (match(), *others)}) == 1 + len(others)


# What comes of it


def played(whole: Match) -> MatchResult:
    return play_match(whole, [make_policy("random", env_info(whole.mission))])


def test_a_match_is_the_sum_of_its_parts():
    seeds = tuple(range(30, 30 + BATCH + 2))
    whole = match(seeds=seeds, map_seeds=seeds)
    parts = list(whole.parts())
    assert [len(part.seeds) for part in parts] == [BATCH, 2]
    assert joined(whole, [played(part) for part in parts]) == played(whole)


def test_a_result_fits_its_match_alone():
    result = played(match())
    assert result.fits(match()) and result == played(match())
    assert not result.fits(match(seeds=(4, 5, 6)))
    assert not result.model_copy(update={"episodes": result.episodes[1:]}).fits(match())


def test_a_result_is_known_by_every_action_that_was_taken():
    """Of this mission the statistics of two random games can be alike; their actions are not."""
    result = played(match())
    prints = [row.fingerprint for row in result.episodes]
    assert len(set(prints)) == 3
    forged = result.episodes[0].model_copy(update={"fingerprint": prints[1]})
    assert result.model_copy(update={"episodes": [forged, *result.episodes[1:]]}).digest != result.digest
