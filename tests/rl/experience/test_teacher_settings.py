"""Settings of learning from a teacher: two forms of the same thing, and how the teacher fades."""

from typing import Any

import pytest
from pydantic import ValidationError

from metta.rl.experience.teacher_settings import MODES, ClonerSettings, EerClonerSettings, TeacherSettings, Teaching
from metta.rl.settings import RunConfig

URI = "metta://policy/cogsguard?gear=10"
HALVES = {"teacher_led_proportion": 0.5, "student_led_proportion": 0.5}


def found(
    teacher: dict[str, Any] | None = None, section: dict[str, Any] | None = None, uri: str | None = None
) -> Teaching | None:
    return RunConfig.model_validate(
        {
            "teacher": teacher,
            "trainer": {"losses": {"sliced_scripted_cloner": section or {}}},
            "training_env": {"supervisor_policy_uri": uri},
        }
    ).teaching


def teaching(**changes: Any) -> Teaching:
    result = found({"policy_uri": URI, "steps": 1000, **changes})
    assert result is not None
    return result


def test_both_forms_mean_the_same() -> None:
    short = found({"mode": "sliced_cloner", "policy_uri": URI, **HALVES})
    long = found(None, {"enabled": True, **HALVES}, URI)
    assert short is not None and long is not None
    assert short == long and short.policy_uri == URI
    fields = {"action_loss_coef": 0.3, "restrict_ppo_to_ppo_mask": False}
    assert found({"policy_uri": URI, **HALVES, "kwargs": fields}) == found(
        None, {"enabled": True, **HALVES, **fields}, URI
    )


def test_the_short_form_takes_over_what_the_section_of_the_loss_says() -> None:
    mixed = found({"policy_uri": URI, "teacher_led_proportion": 0.5}, {"action_loss_coef": 0.3}, URI)
    assert mixed == found(None, {"enabled": True, "teacher_led_proportion": 0.5, "action_loss_coef": 0.3}, URI)


def test_without_a_teacher_there_is_none() -> None:
    assert found() is None


@pytest.mark.parametrize(
    ("teacher", "section", "uri", "message"),
    [
        ({"policy_uri": "a"}, {}, "b", "two teachers.*=a and .*=b"),
        ({"policy_uri": "a", "mode": "supervisor"}, {"enabled": True}, None, "two losses"),
        (
            {"policy_uri": "a", **HALVES},
            {"student_led_proportion": 0.4},
            None,
            "student_led_proportion=0.4.*0.5 differ",
        ),
        ({"policy_uri": "a", "kwargs": {"action_loss_coef": 2}}, {"action_loss_coef": 3}, None, "action_loss_coef=3"),
        (None, {"enabled": True}, None, "needs a teacher: training_env.supervisor_policy_uri"),
        (None, {}, "a", "nothing learns from it"),
        ({"policy_uri": "a", "mode": "kickstarter", "student_led_proportion": 0.5}, {}, None, "labels every segment"),
        ({"policy_uri": "a", "kwargs": {"action_los_coef": 2}}, {}, None, "teacher.kwargs.action_los_coef.*did you"),
        ({"policy_uri": "a", "mode": "kickstarter", "kwargs": {"temperature": 0}}, {}, None, "kwargs.temperature=0"),
        ({"policy_uri": "a", **HALVES, "kwargs": {"teacher_led_proportion": 0.6}}, {}, None, "1.1, more than 1"),
        ({"policy_uri": "a", "kwargs": {"enabled": False}}, {}, None, "unknown key 'teacher.kwargs.enabled'"),
    ],
)
def test_forms_that_contradict_each_other_are_refused(
    teacher: dict | None, section: dict, uri: str | None, message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        found(teacher, section, uri)


def test_kwargs_set_fields_of_the_loss_of_the_mode() -> None:
    chosen = teaching(mode="eer_cloner", kwargs={"r_lambda": 0.5, "epsilon": 0.2})
    assert isinstance(chosen.loss, EerClonerSettings)
    assert (chosen.loss.r_lambda, chosen.loss.epsilon, chosen.loss.action_loss_coef) == (0.5, 0.2, 1.0)
    assert isinstance(teaching(kwargs={"action_loss_coef": 2}).loss, ClonerSettings)


def test_every_mode_that_can_be_chosen_has_its_entry() -> None:
    choices = TeacherSettings.model_json_schema()["properties"]["mode"]["enum"]
    assert list(MODES) == choices


@pytest.mark.parametrize("mode", ["sliced_cloner", "sliced_cloner_no_ppo", "sliced_kickstarter"])
def test_sliced_modes_fade_both_proportions_to_nothing(mode: str) -> None:
    halves = teaching(mode=mode, **HALVES)
    assert [halves.shares(steps) for steps in (0, 500, 1000, 5000)] == [(0.5, 0.5), (0.25, 0.25), (0, 0), (0, 0)]
    assert [halves.strength(steps) for steps in (0, 750)] == [1, 1]


@pytest.mark.parametrize("mode", ["kickstarter", "logit_kickstarter", "eer_kickstarter", "eer_cloner"])
def test_other_modes_label_everything_and_fade_over_the_second_half(mode: str) -> None:
    chosen = teaching(mode=mode, teacher_led_proportion=0.5)
    assert [chosen.shares(steps) for steps in (0, 500, 1000)] == [(0.5, 0.5), (0.25, 0.75), (0, 0)]
    assert [chosen.strength(steps) for steps in (0, 500, 750, 1000, 2000)] == [1, 1, 0.5, 0, 0]


def test_a_supervisor_stays_for_the_whole_run() -> None:
    chosen = teaching(mode="supervisor", teacher_led_proportion=0.2)
    assert chosen.shares(10**12) == (0.2, 0.8) and chosen.strength(10**12) == 1
