"""How schedules are written, what they are worth at a moment, and which settings take them."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from metta.rl.learning.settings import PpoActorSettings, PpoCriticSettings, TrainerSettings
from metta.rl.schedule import Condition, Schedule, largest, places, read, steps_at
from metta.rl.settings import RunConfig

NUMBERS = st.floats(0, 10)
POSITIONS = st.integers(0, 2000) | st.integers(0, 100).map(lambda share: f"{share}%")


def refused(value: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        PpoActorSettings.model_validate({"ent_coef": value})
    return str(caught.value.errors()[0]["msg"])


def test_a_linear_schedule_goes_in_a_straight_line_and_stays_where_it_ends() -> None:
    schedule = read({"schedule": "linear", "from": 1.0, "to": 3.0, "over": [100, "50%"]})
    assert [schedule.at(steps, 1000) for steps in (0, 100, 300, 500, 900)] == [1, 1, 2, 3, 3]


def test_without_positions_a_schedule_goes_over_the_whole_run() -> None:
    schedule = read({"schedule": "linear", "from": 1.0, "to": 0.0})
    assert [schedule.at(steps, 1000) for steps in (0, 250, 1000)] == [1, 0.75, 0]


def test_a_cosine_schedule_starts_and_ends_slowly() -> None:
    schedule = read({"schedule": "cosine", "from": 2.0, "to": 0.0, "over": [0, 400]})
    assert [schedule.at(steps, 1000) for steps in (0, 100, 200, 300, 400)] == pytest.approx(
        [2, 1 + math.sqrt(0.5), 1, 1 - math.sqrt(0.5), 0]
    )


def test_a_step_changes_at_its_position() -> None:
    schedule = read({"schedule": "step", "from": 2.0, "to": 0.5, "at": 400})
    assert [schedule.at(steps, 1000) for steps in (0, 399, 400, 999)] == [2, 2, 0.5, 0.5]


def test_a_piecewise_schedule_goes_from_point_to_point_and_may_jump() -> None:
    schedule = read({"schedule": "piecewise", "points": [[100, 1], [200, 3], [200, 0], [300, 1]]})
    assert [schedule.at(steps, 1000) for steps in (0, 150, 199, 200, 250, 999)] == [1, 2, 2.98, 0, 0.5, 1]


def test_before_its_condition_holds_a_schedule_has_not_begun() -> None:
    schedule = read({"schedule": "linear", "from": 1, "to": 0, "over": [0, 10], "when": "overview/reward>2"})
    assert schedule.at(None, 1000) == 1 and schedule.at(5, 1000) == 0.5
    switch = read({"schedule": "step", "from": 1, "to": 0, "when": "overview/reward > 2"})
    assert switch.at(None, 1000) == 1 and switch.at(0, 1000) == 0


@given(st.lists(st.tuples(POSITIONS, NUMBERS), min_size=1, max_size=5), st.integers(0, 3000))
def test_a_schedule_never_leaves_the_range_of_its_numbers(points: list[tuple[int | str, float]], steps: int) -> None:
    ordered = sorted(points, key=lambda point: steps_at(point[0], 1000))
    schedule = read({"schedule": "piecewise", "points": ordered})
    schedule.check(1000)
    numbers = [number for _, number in points]
    assert min(numbers) - 1e-9 <= schedule.at(steps, 1000) <= max(numbers) + 1e-9
    assert largest(schedule) == max(numbers)  # pyright: ignore


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("env_agent/heart.gained > 5", 5.0, False),
        ("env_agent/heart.gained >= 5", 5.0, True),
        ("overview/reward<-1e-3", -1.0, True),
        ("losses/entropy <= .5", 0.6, False),
        ("eval_training/reward > 5", 6.0, True),
    ],
)
def test_a_condition_compares_a_metric_with_a_number(text: str, value: float, holds: bool) -> None:
    condition = Condition.parse(text)
    assert condition.holds({condition.metric: value}) is holds
    assert not condition.holds({})
    assert not condition.holds({condition.metric: math.nan})
    assert Condition.parse(str(condition)) == condition


@pytest.mark.parametrize(
    "text", ["", "overview/reward", "overview/reward > five", "overview/reward == 5", "5 < overview/reward",
             "overview/reward > nan", "a > 5 or b > 3", "__import__('os') > 1"]
)  # fmt: skip
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Condition.parse(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"schedule": "liner"}, "did you mean linear?"),
        ({"from": 1, "to": 0}, "schedule is missing: should be one of linear, cosine, step, piecewise"),
        ({"schedule": "linear", "frm": 1, "to": 0}, "unknown key 'frm' of a linear schedule (did you mean from?)"),
        ({"schedule": "step", "from": 1, "to": 0, "over": [0, 1]}, "unknown key 'over' of a step schedule"),
        ({"schedule": "linear", "from": 1}, "to is missing"),
        ({"schedule": "linear", "from": -1, "to": 0}, "from=-1: should be greater than or equal to 0"),
        ({"schedule": "linear", "from": 0, "to": 1e39}, "to=1e+39: does not fit float32"),
        ({"schedule": "piecewise", "points": [[0, 1], [1, -1]]}, "points.1=-1: should be greater"),
        ({"schedule": "piecewise", "points": []}, "points"),
        ({"schedule": "linear", "from": 1, "to": 0, "over": [0, 0.5]}, "or a share of the run, such as 50%"),
        ({"schedule": "linear", "from": 1, "to": 0, "over": [-1, 5]}, "agent-steps, a whole number"),
        ({"schedule": "linear", "from": 1, "to": 0, "over": [0, "101%"]}, "share of the run"),
        ({"schedule": "step", "from": 1, "to": 0}, "at is missing"),
        ({"schedule": "linear", "from": 1, "to": 0, "when": "overview/reward > 1"}, "over is missing"),
        ({"schedule": "step", "from": 1, "to": 0, "when": "overview/reward is 1"}, "`metric op number`"),
        ({"schedule": "step", "from": 1, "to": 0, "when": "env_agnt/death > 1"}, "did you mean env_agent"),
        ({"schedule": "step", "from": 1, "to": 0, "when": "timing_per_epoch/sps > 1"}, "no metric to go by"),
    ],
)
def test_a_wrong_schedule_is_told_in_one_line(value: dict[str, Any], expected: str) -> None:
    message = refused(value)
    assert expected in message and "\n" not in message


def test_a_schedule_is_written_as_it_was_read() -> None:
    given = {"schedule": "linear", "from": 0.1, "to": 0.0, "over": [0, "50%"]}
    settings = PpoActorSettings.model_validate({"ent_coef": given})
    assert settings.model_dump()["ent_coef"] == given
    assert PpoActorSettings.model_validate_json(settings.model_dump_json()) == settings


def test_optional_numbers_may_be_scheduled_too() -> None:
    settings = PpoActorSettings.model_validate(
        {"target_kl": {"schedule": "step", "from": 0.1, "to": 0.01, "at": "50%"}}
    )
    assert isinstance(settings.target_kl, Schedule)
    assert PpoActorSettings(target_kl=None).target_kl is None


def test_what_is_allocated_once_takes_no_schedule() -> None:
    given = {"schedule": "linear", "from": 512, "to": 1024}
    with pytest.raises(ValidationError, match="valid integer"):
        TrainerSettings.model_validate({"batch_size": given})
    keys = {place.key for place in places(TrainerSettings(), "trainer")}
    assert {"trainer.optimizer.learning_rate", "trainer.losses.ppo_actor.ent_coef", "trainer.max_grad_norm"} <= keys
    assert "trainer.dual_policy.policy_a_percentage" not in keys


def test_bounds_that_exclude_0_hold_for_every_number() -> None:
    with pytest.raises(ValidationError, match="to=0: should be greater than 0"):
        PpoCriticSettings.model_validate({"vf_clip_coef": {"schedule": "linear", "from": 0.2, "to": 0}})


def run_config(led: Any, student: Any) -> RunConfig:
    teacher = {"policy_uri": "random", "teacher_led_proportion": led, "student_led_proportion": student}
    return RunConfig.model_validate({"teacher": teacher, "trainer": {"total_timesteps": 1000}})


def test_proportions_may_cross_as_long_as_they_fit_at_every_moment() -> None:
    down, up = {"schedule": "linear", "from": 0.9, "to": 0.1}, {"schedule": "linear", "from": 0.1, "to": 0.9}
    assert run_config(down, up).teaching is not None
    for other in (0.5, {**up, "schedule": "cosine", "over": [0, "50%"]}):
        with pytest.raises(ValidationError, match="more than 1"):
            run_config(down, other)
    with pytest.raises(ValidationError, match="more than 1"):
        run_config(down, {"schedule": "step", "from": 0.1, "to": 0.9, "when": "overview/reward > 1"})


def test_positions_that_go_back_in_this_run_are_refused() -> None:
    late = {"schedule": "linear", "from": 1, "to": 0, "over": [2000, "50%"]}
    trainer = {"total_timesteps": 1000, "losses": {"ppo_actor": {"ent_coef": late}}}
    with pytest.raises(ValidationError, match=r"goes back from 2000 to 50%, in a run of 1,000 agent-steps"):
        RunConfig.model_validate({"trainer": trainer})
    assert RunConfig.model_validate({"trainer": {**trainer, "total_timesteps": 10_000}})
