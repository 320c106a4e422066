"""Numbers that do not fit where settings are stored are refused where they enter, with key and limits."""

import math
import re
from typing import Any

import pytest

from metta.common.errors import UserError
from metta.common.settings import validated
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.rl.experience.settings import EnvSettings
from metta.rl.settings import RunConfig

FLOAT = r"does not fit float32; should be 0 or from 1\.18e-38 to 3\.4e\+38 in size"


def tree(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("trainer.optimizer.learning_rate", math.inf, FLOAT),
        ("trainer.optimizer.learning_rate", 4e38, FLOAT),
        ("trainer.optimizer.eps", 1e-45, FLOAT),  # would divide by zero
        ("trainer.optimizer.learning_rate", 1e-400, "greater than 0"),
        ("trainer.optimizer.weight_decay", math.nan, "greater than or equal to 0"),
        ("trainer.max_grad_norm", "1e999", FLOAT),
        ("trainer.losses.ppo_actor.target_kl", math.inf, FLOAT),
        ("trainer.advantage.gamma", 1e-39, FLOAT),
        ("trainer.total_timesteps", 2**63, r"does not fit 64 bits; should be at most 9,223,372,036,854,775,807"),
        pytest.param("trainer.batch_size", 10**9000, "does not fit 64 bits", id="an int of 9000 digits"),
        ("system.seed", 10**30, "does not fit 64 bits"),
        ("system.threads", 10**11, "should be less than or equal to"),
    ],
)
def test_a_number_of_the_trainer_must_fit(path: str, value: Any, expected: str) -> None:
    with pytest.raises(UserError, match=rf"^{path}=.*{expected}"):
        validated(RunConfig, tree(path, value), "")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("reward_entries.mine", {"stat": "carbon.gained", "weight": -3.5e38}, rf"\.weight=.*{FLOAT}"),
        ("reward_entries.mine", {"stat": "carbon.gained", "weight": 1, "max": math.nan}, rf"\.max=nan.*{FLOAT}"),
        ("reward_entries.mine", {"stat": "carbon.gained", "weight": 1, "max": 1e300}, rf"\.max=.*{FLOAT}"),
        ("cog.energy_limit", 65536, "=65536.*65535"),
        ("cog.hp_regen", -70_000, "=-70000.*-65535"),
        ("cost.heart", {"carbon": 1e6}, r"\.carbon=.*65535"),
        ("extractor.stocks", {"carbon": -1}, r"\.carbon=-1.*0"),
    ],
)
def test_a_number_of_a_mission_must_fit(path: str, value: Any, expected: str) -> None:
    with pytest.raises(UserError, match=rf"^mission\.{path}.*{expected}"):
        build_mission(validated(MissionSettings, tree(path, value), "mission"))


def test_numbers_at_the_limits_fit() -> None:
    entry = {"stat": "carbon.gained", "weight": 3.4e38, "max": -1.2e-48}
    build_mission(MissionSettings.model_validate({"reward_entries": {"most": entry}}))
    build_mission(MissionSettings.model_validate({"map": {"coverage": 1e-60}}))  # as much as 0
    assert RunConfig.model_validate({"system": {"seed": 2**63 - 1}}).system.seed == 2**63 - 1
    assert RunConfig.model_validate({"trainer": {"optimizer": {"beta1": 0.0}}}).trainer.optimizer.beta1 == 0


def test_arguments_of_an_environment_of_another_library_are_its_own_affair() -> None:
    kwargs = {"limit": math.inf, "seed": 2**70}
    assert EnvSettings(kind="gymnasium", name="CartPole-v1", kwargs=kwargs).kwargs == kwargs


@pytest.mark.parametrize(
    "path", ["trainer.optimizer.learning_rate", "trainer.total_timesteps", "mission.cogs", "system.threads"]
)
@pytest.mark.parametrize("value", [True, False, "yes", "1:30"])
def test_a_truth_value_or_a_time_is_no_number(path: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"^{re.escape(path)}=.*should be a valid"):
        validated(RunConfig, tree(path, value), "")


def test_settings_show_in_a_notebook_what_differs_from_the_defaults() -> None:
    shown = build_mission(MissionSettings(name="aligner_tutorial", max_steps=500))._repr_html_()
    assert "<b>Mission</b>" in shown and "\nmax_steps: 500\n" in shown and "\nrewards:\n- aligner" in shown
    assert "thick_skinned" not in shown and "the defaults" in MissionSettings()._repr_html_()
