"""Contests: who sits where, the same numbers for any workers, files to go on from, intervals, documents."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metta.common.errors import UserError
from metta.eval import contest
from metta.eval.contest import resolve_missions, run_contest
from metta.eval.entries import Entry, parse_entry
from metta.eval.episodes import play_episodes
from metta.eval.gear import role_of
from metta.eval.line_up import LineUp
from metta.eval.match import BATCH
from metta.eval.playing import Progress, play_matches
from metta.eval.replay.file import read_replay
from metta.eval.settings import ContestSettings
from metta.eval.tables import contest_tables
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.simple import NoopPolicy
from metta.policy.stored.bundle import save_bundle
from metta.policy.stored.uri import make_policy
from metta.policy.team import TeamPolicy, share_out
from tests.eval.replay.conftest import record
from tests.nets import build_net


def settings(*policies: str, **changes: Any) -> ContestSettings:
    base = {"policies": policies, "missions": ["cogsguard_arena.basic"], "episodes": 11, "steps": 60, "workers": 1}
    return ContestSettings.model_validate(base | changes)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


# Seats


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.integers(6, 40))
def test_agents_are_shared_out_in_proportion_and_nobody_goes_without(proportions: list[float], places: int):
    counts = share_out(proportions, places)
    assert sum(counts) == places and min(counts) >= 1
    quotas = np.array(proportions) / sum(proportions) * places
    if quotas.min() >= 1:
        assert np.abs(counts - quotas).max() < 1


def test_the_guides_split_is_three_to_five():
    assert share_out([3, 5], 8) == [3, 5]
    with pytest.raises(UserError, match="9 policies cannot share 8 agents"):
        share_out([1] * 9, 8)


class Marked(NoopPolicy):
    """Answers its number, and keeps what it saw."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def step(self, observations: np.ndarray) -> np.ndarray:
        self.saw = observations
        return np.full(observations.shape[:2], self.number, np.int32)


def test_each_policy_sees_and_moves_its_own_agents_and_seats_change_from_episode_to_episode():
    one, two = Marked(1), Marked(2)
    team = TeamPolicy([one, two], [3, 5])
    team.reset(6, 8, seed=4)
    observations = np.broadcast_to(np.arange(8, dtype=np.uint8)[None, :, None, None], (6, 8, 2, 3))
    actions = team.step(observations)
    assert (actions == team.seats + 1).all() and ((team.seats == 0).sum(1) == 3).all()
    assert one.saw[:, :, 0, 0].tolist() == [np.flatnonzero(row == 0).tolist() for row in team.seats]
    assert len({tuple(row) for row in team.seats.tolist()}) > 1
    before = team.seats.copy()
    team.reset(6, 8, seed=4)
    assert (team.seats == before).all()


def test_a_policy_alone_plays_exactly_as_without_a_team():
    mission = build_mission(MissionSettings(name="cogsguard_arena.basic", max_steps=60))
    alone = play_episodes(mission, make_policy("role", env_info(mission)), BATCH, 42)
    result = run_contest(settings("role", episodes=BATCH)).matches[0]
    assert [row.agent["heart.gained"] for row in result.rows] == [e.agent["heart.gained"].tolist() for e in alone]
    assert [row.seed for row in result.rows] == list(range(42, 42 + BATCH))


def test_an_entry_is_a_policy_and_its_proportion():
    assert parse_entry("./train_dir/my_run:v5,proportion=3") == Entry("./train_dir/my_run:v5", 3)
    assert parse_entry("class=role,proportion=2,kw.miner=4") == Entry("class=role,kw.miner=4", 2)
    assert parse_entry("teacher?role_vibes=miner,scout") == Entry("teacher?role_vibes=miner,scout")
    for wrong in ("role,proportion=0", "role,proportion=-1", "role,proportion=nan", "role,proportion=x"):
        with pytest.raises(UserError, match=r"proportion=.* should be a number above 0"):
            parse_entry(wrong)
    with pytest.raises(UserError, match="did you mean proportion"):
        parse_entry("role,propotion=2")


# Missions


def test_missions_come_by_name_wildcard_file_and_set(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nbase: cogsguard_arena.basic\ncogs: 4\n")
    found = resolve_missions(settings("role", missions=[str(file), "cogsguard_arena.*", "cogsguard_arena.basic"]))
    names = [mission.name for mission in found]
    assert names[0] == "mine" and names.count("cogsguard_arena.basic") == 1 and len(names) == 5
    evals = resolve_missions(settings("role", missions=[], mission_set="cogsguard_evals", steps=None))
    assert len(evals) > 1
    with pytest.raises(UserError, match="no mission is named like 'cogsgard_\\*'"):
        resolve_missions(settings("role", missions=["cogsgard_*"]))
    with pytest.raises(UserError, match="not both"):
        resolve_missions(settings("role", mission_set="integrated_evals"))


def test_missions_of_one_name_are_told_apart_by_their_files(tmp_path: Path):
    files = [tmp_path / "cave.yaml", tmp_path / "cog.yaml"]
    files[0].write_text("name: cogsguard_arena.basic\nbase: cogsguard_arena.basic\ncogs: 4\n")
    files[1].write_text("name: mine\nbase: cogsguard_arena.basic\ncogs: 1\n")
    named = [str(files[0]), "cogsguard_arena.basic", str(files[1])]
    found = settings("noop", missions=named, episodes=1, steps=5, save_replay_dir=tmp_path / "games")
    names = [f"cogsguard_arena.basic ({files[0]})", "cogsguard_arena.basic", "mine"]
    assert [mission.name for mission in resolve_missions(found)] == names
    assert len({row.replay for match in run_contest(found).matches for row in match.rows}) == 3


def test_steps_beyond_the_games_most_are_refused_in_one_line():
    with pytest.raises(UserError, match="max_steps=100000000: should be less than or equal to 10000000"):
        resolve_missions(settings("role", steps=10**8))


# Numbers


def test_policies_that_share_a_name_are_told_apart_by_their_uris():
    (played,) = run_contest(settings("role?miner=4", "role?scout=4", "noop", episodes=1, steps=5)).matches
    assert played.names == ("role?miner=4", "role?scout=4", "noop")


def test_the_numbers_do_not_depend_on_the_workers():
    one, two = (run_contest(settings("role", "random", workers=workers)).document() for workers in (1, 2))
    assert one == two


def test_the_document_has_means_per_policy_agent_and_role():
    document = run_contest(settings("role,proportion=3", "random,proportion=5", steps=120)).document()
    assert document["schema_version"] == 1 and document["complete"] is True
    (mission,) = document["missions"]
    summary = mission["mission_summary"]
    assert mission["mission_name"] == "cogsguard_arena.basic" and summary["episodes"] == 11
    role, random = summary["policy_summaries"]
    assert (role["agent_count"], random["agent_count"]) == (3, 5)
    moved = "action.move.success"
    everyone = (3 * role["avg_agent_metrics"][moved] + 5 * random["avg_agent_metrics"][moved]) / 8
    assert np.mean(summary["avg_metrics_per_agent"][moved]) == pytest.approx(everyone)
    low, high = role["avg_agent_metrics_ci95"][moved]
    assert low <= role["avg_agent_metrics"][moved] <= high
    by_role = role["roles"]
    assert sum(part["agents_per_episode"] for part in by_role.values()) == pytest.approx(3)
    parts = sum(part["agents_per_episode"] * part["avg_agent_metrics"][moved] for part in by_role.values())
    assert parts / 3 == pytest.approx(role["avg_agent_metrics"][moved])
    assert list(summary["per_episode_per_policy_avg_rewards"]) == [str(k) for k in range(11)]
    assert json.loads(json.dumps(document)) == document


def test_tables_show_every_mission_and_policy():
    result = run_contest(settings("role", "noop", missions=["cogsguard_arena.*"], episodes=1, steps=4))
    tables = list(contest_tables(result))
    assert len(tables) == len(result.matches) + 1
    heads = [str(column.header).split("\n")[0] for column in tables[0].columns]
    assert heads[1::2] == ["role", "noop"] and heads[2::2] == ["95 % interval, n = 1"] * 2


def test_a_role_is_the_gear_worn_longest():
    assert [role_of(line) for line in ("000", "0113", "0331")] == ["none", "aligner", "miner"]


# The file


def test_a_broken_off_evaluation_goes_on_from_its_file_with_the_same_numbers(tmp_path: Path):
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    expected = run_contest(settings("role", "random", out=whole)).document()
    head, first, second = lines(whole)
    torn.write_text(f"{head}\n{first}\n{second[:50]}")  # as a power cut leaves it
    resumed = run_contest(settings("role", "random", out=torn))
    assert resumed.document() == expected and resumed.agent_steps == (11 - BATCH) * 60 * 8
    assert lines(torn) == lines(whole)
    again = run_contest(settings("role", "random", out=torn))
    assert again.document() == expected and again.agent_steps == 0


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"episodes": 12}, "seeds"),
        ({"seed": 43}, "seeds"),
        ({"steps": 50}, "rules"),
        ({"missions": ["cogsguard_machina_1.basic"]}, "mission"),
        ({"policies": ["noop", "random"]}, "policies"),
    ],
)
def test_a_file_of_another_evaluation_is_refused_and_left_alone(tmp_path: Path, changes: dict[str, Any], what: str):
    out = tmp_path / "out.jsonl"
    run_contest(settings("noop", "noop", out=out))
    before = out.read_bytes()
    with pytest.raises(UserError, match=f"another evaluation \\({what} of"):
        run_contest(settings("noop", "noop", out=out, **changes) if "policies" not in changes else settings(
            *changes["policies"], out=out))  # fmt: skip
    assert out.read_bytes() == before


def test_other_parameters_of_a_policy_are_another_evaluation(tmp_path: Path):
    small = {"episodes": 1, "steps": 5, "out": tmp_path / "out.jsonl"}
    run_contest(settings("role?miner=4", **small))
    with pytest.raises(UserError, match=r"policies of cogsguard_arena\.basic differs"):
        run_contest(settings("role?scout=4", **small))


def test_nets_of_one_name_in_two_folders_are_two_policies(tmp_path: Path):
    mission = build_mission(MissionSettings(name="cogsguard_arena.basic"))
    net, out = build_net("mlp", {}, env_info(mission)), tmp_path / "out.jsonl"
    for folder in ("one", "two"):
        save_bundle(tmp_path / folder / "net", net, "x", 1, 1)
    run_contest(settings(str(tmp_path / "one" / "net"), episodes=1, steps=5, out=out))
    with pytest.raises(UserError, match=r"policies of cogsguard_arena\.basic differs"):
        run_contest(settings(str(tmp_path / "two" / "net"), episodes=1, steps=5, out=out))


def test_a_file_that_is_no_evaluation_is_refused_and_left_alone(tmp_path: Path):
    out = tmp_path / "notes.txt"
    out.write_text("my notes\n")
    with pytest.raises(UserError, match=r"notes\.txt is no evaluation"):
        run_contest(settings("noop", out=out))
    assert out.read_text() == "my notes\n"
    with pytest.raises(UserError, match="cannot be used"):
        run_contest(settings("noop", out=tmp_path))


@pytest.mark.parametrize("matches", [3, [3], [{"mission": {"name": 3}, "players": []}], None])
def test_the_head_of_a_file_may_be_anything(tmp_path: Path, matches: Any):
    out = tmp_path / "out.jsonl"
    out.write_text(json.dumps({"kind": "metta-evaluation", "schema_version": 3, "matches": matches}) + "\n")
    with pytest.raises(UserError, match="holds another evaluation"):
        run_contest(settings("noop", out=out))


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line | {"match": 64 * "0"},
        lambda line: line | {"part": 9},
        lambda line: line | {"faults": []},
        lambda line: line | {"episodes": line["episodes"][:1]},
        lambda line: line | {"episodes": [row | {"seats": [0]} for row in line["episodes"]]},
        lambda line: line | {"episodes": [row | {"agent": {"death": [1]}} for row in line["episodes"]]},
    ],
)
def test_a_line_that_is_no_result_of_the_evaluation_is_refused(tmp_path: Path, change: Callable[[Any], Any]):
    out = tmp_path / "out.jsonl"
    played = settings("noop", out=out, episodes=2, steps=5)
    run_contest(played)
    head, line = lines(out)
    out.write_text(f"{head}\n{json.dumps(change(json.loads(line)))}\n")
    with pytest.raises(UserError, match="is damaged: a line is no result"):
        run_contest(played)


def test_ctrl_c_leaves_the_episodes_played_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "out.jsonl"
    played = contest.play_matches

    def interrupted(*arguments: Any):
        for number, result in enumerate(played(*arguments)):
            yield result
            if number == 1:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # the signal arrives while results are awaited
        patch.setattr(contest, "play_matches", interrupted)
        result = run_contest(settings("role", episodes=4 * BATCH, out=out))
    assert result.interrupted and result.matches[0].episodes == 2 * BATCH and result.episodes == 4 * BATCH
    assert result.document()["complete"] is False
    whole = run_contest(settings("role", episodes=4 * BATCH, out=out))
    assert not whole.interrupted and whole.document() == run_contest(settings("role", episodes=4 * BATCH)).document()


def test_a_stopped_evaluation_ends_within_a_step():
    progress = Progress()
    progress.stopped.set()
    mission, line_up = build_mission(MissionSettings(name="cogsguard_arena.basic")), LineUp(settings("role"))
    match = contest.make_match(line_up, mission, [Entry("role")], 8, 0)
    assert list(play_matches([match], line_up.build, 1, progress)) == [] and progress.done == 0


def test_what_a_policy_raises_comes_out():
    with pytest.raises(UserError, match="did you mean role"):
        run_contest(settings("rolee"))


# Classes of users


@pytest.mark.parametrize(("name", "kind"), [("Raises", "errors"), ("ReturnsNaN", "garbage"), ("Hangs", "timeouts")])
def test_a_class_that_fails_stands_still_is_counted_and_the_others_play_on(name: str, kind: str):
    broken = f"class=tests.policy.hosted.user_policies.{name}"
    teams = settings("role,proportion=7", broken, episodes=1, steps=12, action_timeout_ms=50)
    result = run_contest(teams)
    role, failing = result.document()["missions"][0]["mission_summary"]["policy_summaries"]
    assert role["faults"] == {} and failing["faults"] == {kind: 10}  # all steps from the third on
    assert failing["action_timeouts"] == (10 if kind == "timeouts" else 0)
    assert role["avg_agent_metrics"]["action.move.success"] > 3
    assert any(f"{name}: {kind}, first:" in message for message in result.messages)


# Replays


def test_every_episode_can_be_kept_as_a_replay_that_says_who_played_what(tmp_path: Path):
    kept = settings("role,proportion=3", "random,proportion=5", episodes=2, steps=20, save_replay_dir=tmp_path)
    result = run_contest(kept).matches[0]
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [f"cogsguard_arena.basic.role-3.random-5.seed{seed}.replay" for seed in (42, 43)]
    assert [row.replay for row in result.rows] == files
    replay = read_replay(tmp_path / files[0]).check()
    assert replay.header.policies == ["role", "random"] and replay.header.seed == 42
    assert [agent.policy for agent in replay.header.agents] == result.rows[0].seats
    with pytest.raises(UserError, match=r"seed42\.replay exists"):
        run_contest(kept)
    left = record("noop", steps=3).recording
    left.header.max_steps = 20
    for file in files:  # as if the evaluation had been killed
        left.grow(tmp_path / file)
        left.close()
    run_contest(kept)
    assert [read_replay(tmp_path / file).is_cut for file in files] == [False, False]


def test_a_folder_for_replays_that_cannot_be_is_refused_before_anything_is_played(tmp_path: Path):
    file, out = tmp_path / "file", tmp_path / "out.jsonl"
    file.touch()
    with pytest.raises(UserError, match=r"--save-replay-dir=.*cannot write there"):
        run_contest(settings("noop", episodes=1, steps=5, save_replay_dir=file, out=out))
    assert len(lines(out)) == 1
