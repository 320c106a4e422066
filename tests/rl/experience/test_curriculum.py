"""Tasks: what is drawn follows from seed and number alone, and those are played whose score changes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from metta.common.errors import UserError
from metta.game.engine.batch import Episode
from metta.game.mission import MissionSettings
from metta.rl.experience.curriculum import Curriculum
from metta.rl.experience.curriculum_settings import CurriculumSettings
from metta.rl.experience.tasks import TaskSpace

WIDE = {
    "name": ["cogsguard_arena.basic", "cogsguard_machina_1.basic"],
    "difficulty": ["easy", "medium", "hard"],
    "variants": [[], "braveheart", ["dark_side", "thick_skinned"]],
    "max_steps": {"range": [10, 1000], "log": True},
    "cog": {"heart_limit": {"range": [1, 10]}},
    "reward_entries": {"mine": {"weight": {"range": [0.5, 2.0]}, "stat": ["carbon.gained"]}},
}


def space(mission: dict[str, Any] = WIDE, seed: int = 1, **base: Any) -> TaskSpace:
    return TaskSpace(MissionSettings(**base), CurriculumSettings(mission=mission).draws, seed)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**40), number=st.integers(0, 10**9))
def test_a_task_follows_from_the_seed_and_its_number(seed: int, number: int) -> None:
    drawn = space(seed=seed).draw(number)
    assert drawn == space(seed=seed).draw(number)
    assert isinstance(drawn["max_steps"], int) and 10 <= drawn["max_steps"] <= 1000
    assert isinstance(drawn["cog.heart_limit"], int) and 1 <= drawn["cog.heart_limit"] <= 10
    assert isinstance(drawn["reward_entries.mine.weight"], float) and 0.5 <= drawn["reward_entries.mine.weight"] <= 2
    assert drawn["variants"] in ([], ["braveheart"], ["dark_side", "thick_skinned"])
    fewer = space({key: value for key, value in WIDE.items() if key != "difficulty"}, seed).draw(number)
    assert fewer == {key: value for key, value in drawn.items() if key != "difficulty"}


def test_all_values_are_drawn_and_logarithmic_ranges_by_size() -> None:
    drawn = [space().draw(number) for number in range(500)]
    assert {task["cog.heart_limit"] for task in drawn} == set(range(1, 11))
    assert {task["difficulty"] for task in drawn} == {"easy", "medium", "hard"}
    assert 0.45 < np.mean([task["max_steps"] < 100 for task in drawn]) < 0.55
    assert len({str(space(seed=seed).draw(0)) for seed in range(50)}) > 40


def test_a_task_is_the_mission_of_the_run_with_what_was_drawn() -> None:
    tasks = space({"name": WIDE["name"], "cog": {"heart_limit": [7]}}, max_steps=33, cog={"cargo_limit": 5})
    missions = [tasks.mission(tasks.draw(number)) for number in range(20)]
    assert {mission.name for mission in missions} == set(WIDE["name"])
    assert {(one.max_steps, one.cog.heart_limit, one.cog.cargo_limit) for one in missions} == {(33, 7, 5)}


@pytest.mark.parametrize(
    ("mission", "expected"),
    [
        ({}, "curriculum.mission: no task is drawn from anything; such as curriculum.mission.difficulty"),
        ({"hearts": [1]}, r"unknown key 'curriculum.mission.hearts' \(did you mean"),
        ({"max_steps": []}, r"curriculum.mission.max_steps=\[\]: there is nothing to choose from"),
        ({"max_steps": 5}, "curriculum.mission.max_steps=5: should be a list of choices or {range: "),
        ({"max_steps": {"range": [9, 2]}}, r"curriculum.mission.max_steps: range=\[9, 2\] is empty"),
        ({"max_steps": {"range": [1]}}, "curriculum.mission.max_steps.range"),
        ({"max_steps": {"range": [1, 2], "lgo": True}}, "'curriculum.mission.max_steps.lgo' .did you mean log?"),
        ({"max_steps": {"rnge": [1, 2]}}, "'curriculum.mission.max_steps.rnge' .did you mean range?"),
        ({"max_steps": {"range": [0, 2], "log": True}}, r"range=\[0, 2\] with log=true must begin above 0"),
        ({"name": ["docs/missions/holding.yaml"]}, "tasks are drawn of the game's own missions"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(mission: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        CurriculumSettings(mission=mission)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"floor": 1.5}, "floor"),
        ({"fast": 0.01, "slow": 0.1}, "curriculum.slow=0.1 must be below curriculum.fast=0.01"),
        ({"least_episodes": 9, "most_episodes": 3}, "least_episodes=9 must not be above curriculum.most_episodes=3"),
    ],
)
def test_settings_out_of_bounds_are_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        CurriculumSettings(mission=WIDE, **changes)


@pytest.mark.parametrize(
    ("mission", "expected"),
    [
        ({"cog": {"hart_limit": [3]}}, r"unknown key 'mission.cog.hart_limit' \(did you mean heart_limit"),
        ({"cog": {"heart_limit": {"range": [3, 70000]}}}, "mission.cog.heart_limit=70000"),
        ({"cog": {"heart_limit": {"range": [0.5, 3.5]}}}, "mission.cog.heart_limit=0.5"),
        ({"difficulty": ["easy", "hrd"]}, "difficulty='hrd'"),
        ({"name": ["cogsguard_arena.basik"]}, "did you mean cogsguard_arena.basic"),
        ({"cogs": [4, 8]}, "tasks must fit one policy, and cogs=8 has 8 agents, not 4 as cogs=4"),
        (
            {"variants": [[], "forced_role_vibes"]},
            r"variants=\[forced_role_vibes\] has .* features, not .* as variants=\[\]",
        ),
        ({"variants": [[], "no_vibes"]}, r"variants=\[no_vibes\] has 5 actions, not 12"),
    ],
)
def test_ends_that_make_no_tasks_of_one_policy_are_refused(mission: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        space(mission).check()


def test_groups_divide_the_environments() -> None:
    with pytest.raises(UserError, match=r"curriculum\.groups=5 must divide the 12 environments; nearest: 4 or 6"):
        CurriculumSettings(mission=WIDE, groups=5).envs_of_group(12)
    with pytest.raises(UserError, match=r"curriculum\.groups=6 must be a multiple of the 4 processes"):
        CurriculumSettings(mission=WIDE, groups=6).envs_of_group(12, processes=4)


def curriculum(seed: int = 0, **changes: Any) -> Curriculum:
    """Two environments to a group, tasks of any number of hearts."""
    mission = {"cog": {"heart_limit": {"range": [1, 60000]}}}
    chosen = CurriculumSettings(mission=mission, **{"tasks": 6, "groups": 2, **changes})
    started = Curriculum(chosen, space(mission), seed, 2 * chosen.groups)
    started.start()
    return started


def play(played: Curriculum, score: Callable[[int], float], batches: int) -> dict[int, int]:
    """Batches in which every environment ends an episode; `score` of a task's number. Turns played by task number."""
    turns: dict[int, int] = {}
    for number in range(batches):
        tasks = [played.tasks[turn.slot].number for turn in played.turns]
        scores = [score(task) for task in tasks for _ in range(played.group_envs)]
        for task in tasks:
            turns[task] = turns.get(task, 0) + 1
        played.update([episode(env, number, value) for env, value in enumerate(scores)])
    return turns


def episode(env: int, number: int, score: float) -> Episode:
    return Episode(env, number, 0, 10, np.full(8, score, np.float32), {}, {}, {})


def test_the_task_that_improves_is_played_most_and_the_others_get_the_floor() -> None:
    seen = dict.fromkeys(range(6), 0)

    def score(task: int) -> float:
        seen[task] += 1
        return seen[task] / 10 if task == 3 else float(task)

    played = curriculum(floor=0.3, mastered=0.0, least_episodes=10**6, most_episodes=10**6)
    turns = play(played, score, 400)
    assert turns[3] > 0.6 * sum(turns.values())
    probabilities = played.probabilities()
    assert probabilities[3] == pytest.approx(0.3 / 6 + 0.7) and probabilities.sum() == pytest.approx(1)
    assert all(turns[task] > 10 for task in range(6))


def test_a_task_that_gets_worse_is_played_as_much_as_one_that_improves() -> None:
    up, down = (dict.fromkeys(range(6), 0) for _ in range(2))

    def rising(task: int) -> float:
        up[task] += 1
        return up[task] / 10 if task == 3 else 0.0

    def falling(task: int) -> float:
        down[task] += 1
        return -down[task] / 10 if task == 3 else 0.0

    whole = {"least_episodes": 10**6, "most_episodes": 10**6}
    assert play(curriculum(**whole), rising, 100) == play(curriculum(**whole), falling, 100)


def test_mastered_tasks_make_room_for_new_ones_and_the_number_of_active_ones_stays() -> None:
    seen: dict[int, int] = {}

    def score(task: int) -> float:
        seen[task] = seen.get(task, 0) + 1
        return min(seen[task], 20.0) if task % 2 else 1.0  # the odd ones can be learned

    played = curriculum(least_episodes=10, most_episodes=10**6)
    turns = play(played, score, 500)
    assert len(played.tasks) == 6 and len({task.number for task in played.tasks}) == 6
    assert max(turns) > 12
    even = sum(count for task, count in turns.items() if task % 2 == 0)
    assert even < 0.5 * sum(turns.values())


def test_old_tasks_go_even_while_they_improve() -> None:
    seen: dict[int, int] = {}

    def score(task: int) -> float:
        seen[task] = seen.get(task, 0) + 1
        return float(seen[task])

    played = curriculum(least_episodes=10, most_episodes=20)
    play(played, score, 200)
    assert all(count < 20 + 2 * played.group_envs for count in seen.values()) and len(seen) > 15


def test_a_task_that_cannot_show_progress_yet_counts_as_the_one_with_most() -> None:
    played = curriculum(floor=0.0)
    for task, (episodes, slow) in zip(
        played.tasks, [(10, 0.0), (50, 0.3), (50, 0.1), (50, 0), (50, 0), (50, 0)], strict=True
    ):
        task.episodes, task.slow = episodes, slow
    np.testing.assert_allclose(played.probabilities(), [3 / 7, 3 / 7, 1 / 7, 0, 0, 0])


def test_a_new_task_is_tried_before_any_other() -> None:
    turns = play(curriculum(tasks=8, groups=2), lambda task: 0.0, 4)
    assert turns == dict.fromkeys(range(8), 1)


def test_a_space_of_few_tasks_is_played_without_repetition() -> None:
    mission = {"difficulty": ["easy", "hard"]}
    few = Curriculum(CurriculumSettings(mission=mission, groups=1), space(mission), 0, 2)
    few.start()
    assert len(few.tasks) == 2
    play(few, lambda task: 1.0, 400)
    assert len(few.tasks) == 2


def test_a_draw_that_makes_no_mission_is_passed_over_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    mission = {"variants": [[], "multi_team"], "cogs": [1, 2]}  # each of them alone is possible
    few = Curriculum(CurriculumSettings(mission=mission, groups=1), space(mission), 0, 2)
    few.start()
    assert len(few.tasks) == 3
    assert "variants=[multi_team], cogs=1) is passed over: mission.cogs=1 cannot be split" in capsys.readouterr().err


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), before=st.integers(0, 30))
def test_a_curriculum_goes_on_from_its_state_as_if_never_stopped(seed: int, before: int) -> None:
    def score(task: int) -> float:
        return float(np.sin(task * 37.7))

    whole = curriculum(seed, least_episodes=4, most_episodes=12)
    play(whole, score, before)
    other = curriculum(seed, least_episodes=4, most_episodes=12)
    other.load_state_dict(whole.state_dict())
    play(whole, score, 10)
    play(other, score, 10)
    assert whole.tasks == other.tasks and whole.turns == other.turns and whole.metrics() == other.metrics()


def test_the_metrics_are_bounded_in_number_and_say_what_is_known_of_every_slot() -> None:
    played = curriculum()
    names = set(played.metrics())
    play(played, float, 300)
    metrics = played.metrics()
    kinds = ("number", "episodes", "probability", "learning_progress", "score")
    expected = {f"curriculum/task{slot:02d}/{kind}" for slot in range(6) for kind in kinds}
    assert names < set(metrics) and expected < set(metrics)
    assert len(metrics) == len(expected) + 4
    assert sum(metrics[f"curriculum/task{slot:02d}/probability"] for slot in range(6)) == pytest.approx(1)
