"""Schedules of whole runs: what learns by them, what is reported, and that they go on where they stopped."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from metta.policy.stored.uri import find_bundle
from metta.rl.build import build, plan
from metta.rl.learning.graphs import obstacle
from metta.rl.run.metrics import read_metrics
from metta.rl.run.schedules import Schedules
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from tests.rl.test_trainer import folder, interrupted, without_clock

Config = Callable[..., RunConfig]
WHEN = "metric/epoch >= 2"
MANY = {
    "optimizer": {"learning_rate": {"schedule": "linear", "from": 0.001, "to": 0.0001}},
    "sampling": {"prio_alpha": {"schedule": "step", "from": 0.8, "to": 0.4, "at": 512}},
    "max_grad_norm": {"schedule": "cosine", "from": 1.0, "to": 0.5},
    "advantage": {"gamma": {"schedule": "linear", "from": 0.9, "to": 0.99, "over": [0, 512], "when": WHEN}},
    "losses": {
        "ppo_actor": {"ent_coef": {"schedule": "step", "from": 0.02, "to": 0.0, "when": WHEN}},
        "ppo_critic": {"vf_coef": {"schedule": "piecewise", "points": [[0, 1.0], ["50%", 2.0]]}},
    },
}


def lines(config: RunConfig) -> list[dict[str, float]]:
    return read_metrics(folder(config) / "metrics.jsonl")


def column(config: RunConfig, name: str) -> list[float]:
    return [line[f"hyperparameters/{name}"] for line in lines(config)]


def test_a_run_reports_what_its_schedules_are_worth_in_each_epoch(config: Config) -> None:
    settings = config(trainer=MANY)
    train(settings)
    assert column(settings, "learning_rate") == pytest.approx([0.001, 0.000775, 0.00055, 0.000325])  # not annealed too
    assert column(settings, "prio_alpha") == [0.8, 0.4, 0.4, 0.4]
    assert column(settings, "vf_coef") == [1.0, 1.5, 2.0, 2.0]
    assert column(settings, "ent_coef") == [0.02, 0.02, 0.0, 0.0]  # after two epochs the condition holds
    assert column(settings, "gamma") == pytest.approx([0.9, 0.9, 0.9, 0.99])


def test_a_run_that_stopped_goes_on_with_its_schedules_bit_for_bit(config: Config) -> None:
    whole, halves = config(run="whole", trainer=MANY), config(run="halves", trainer=MANY)
    train(whole)
    # It stops after the condition came true; from `metric/epoch` alone it would come true later anew.
    interrupted(config(run="halves", trainer={**MANY, "total_timesteps": 1536}), whole.trainer.total_timesteps)
    assert train(halves).finished
    assert [without_clock(line) for line in lines(whole)] == [without_clock(line) for line in lines(halves)]
    left, right = (find_bundle(str(folder(settings))).weights for settings in (whole, halves))
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_what_learns_reads_the_numbers_of_the_moment(config: Config) -> None:
    planned = plan(config(trainer=MANY))
    parts = build(planned)
    try:
        planned.schedules.begin(1024)
        actor, critic = parts.updater.losses["ppo_actor"], parts.updater.losses["ppo_critic"]
        assert actor.settings.ent_coef == 0.02 and critic.settings.vf_coef == 2.0  # pyright: ignore
        assert parts.updater.settings.max_grad_norm == pytest.approx(0.75)
        assert parts.updater.sampler.settings.prio_alpha == 0.4  # pyright: ignore
        planned.schedules.look({"metric/epoch": 2}, 1024)
        planned.schedules.begin(1280)
        assert actor.settings.ent_coef == 0 and parts.updater.settings.advantage.gamma == pytest.approx(0.945)  # pyright: ignore
    finally:
        parts.rollout.close()


def test_a_constant_schedule_trains_as_the_number_does(config: Config) -> None:
    constant = {"schedule": "piecewise", "points": [[0, 0.01]]}
    runs = [config(run="a"), config(run="b", trainer={"losses": {"ppo_actor": {"ent_coef": constant}}})]
    for settings in runs:
        train(settings)
    left, right = (find_bundle(str(folder(settings))).weights for settings in runs)
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_scheduled_proportions_of_a_teacher_do_not_fade_and_others_do(config: Config) -> None:
    teacher = {
        "policy_uri": "random", "steps": 2048, "student_led_proportion": 0.4,
        "teacher_led_proportion": {"schedule": "step", "from": 0.5, "to": 0.25, "at": "50%"},
        "kwargs": {"action_loss_coef": {"schedule": "linear", "from": 1.0, "to": 0.0}},
    }  # fmt: skip
    settings = config(teacher=teacher)
    train(settings)
    assert column(settings, "teacher_led_proportion") == [0.5, 0.5, 0.25, 0.25]
    assert column(settings, "student_led_proportion") == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert column(settings, "action_loss_coef") == [1.0, 0.75, 0.5, 0.25]


def test_the_weight_of_an_npc_may_be_scheduled(config: Config) -> None:
    weight = {"schedule": "linear", "from": 1.0, "to": 3.0}
    npcs = [{"path": "random", "weight": 1.0}, {"path": "metta://policy/miner", "weight": weight}]
    settings = config(trainer={"dual_policy": {"enabled": True, "checkpoint_npcs": npcs}})
    train(settings)
    shares = [line["dual_policy/opponent/miner/probability"] for line in lines(settings)]
    assert shares == pytest.approx([1 / 2, 1.5 / 2.5, 2 / 3, 2.5 / 3.5])


def test_a_condition_stays_true_and_is_known_after_a_restart(config: Config) -> None:
    settings = config(trainer=MANY)
    one, other = Schedules(settings, 2048), Schedules(settings, 2048)
    assert one.state_dict() == {}
    one.look({"metric/epoch": 2}, 1024)
    one.look({"metric/epoch": 1}, 1536)
    other.load_state_dict(one.state_dict())
    assert one.begin(1280) == other.begin(1280)
    assert other.begin(1280)["hyperparameters/gamma"] == pytest.approx(0.945)


def test_a_condition_on_a_metric_that_is_not_there_is_warned_of_once(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    switch = {"schedule": "step", "from": 0.02, "to": 0.0, "when": "env_agent/heart.gaind > 1"}
    train(config(trainer={"losses": {"ppo_actor": {"ent_coef": switch}}}))
    told = capsys.readouterr().err
    assert told.count("env_agent/heart.gaind") == 1 and "did you mean env_agent/heart.gained" in told


def test_names_of_one_ending_are_told_apart_in_reports(config: Config) -> None:
    ramp = {"schedule": "linear", "from": 0.5, "to": 1.0}
    changes: dict[str, Any] = {
        "advantage": {"reward_centering": {"beta": ramp}}, "losses": {"ppo_critic": {"beta": ramp}}
    }  # fmt: skip
    assert Schedules(config(trainer=changes), 2048).begin(1024) == {
        "hyperparameters/reward_centering.beta": 0.75,
        "hyperparameters/ppo_critic.beta": 0.75,
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"optimizer": {"learning_rate": {"schedule": "linear", "from": 0.1, "to": 0.01}}}, None),
        ({"sampling": {"prio_beta0": {"schedule": "linear", "from": 0.1, "to": 1}}}, None),
        ({"advantage": {"gamma": {"schedule": "linear", "from": 0.9, "to": 0.99}}}, None),
        ({"advantage": {"gamma": {"schedule": "linear", "from": 0.9, "to": 0.99}},
          "losses": {"ppo_critic": {"critic_update": "gtd_lambda"}}}, "trainer.advantage.gamma"),
        ({"advantage": {"reward_centering": {"beta": {"schedule": "linear", "from": 0.1, "to": 0.01}}}},
         "reward_centering.beta"),
        ({"losses": {"ppo_actor": {"ent_coef": {"schedule": "linear", "from": 0.1, "to": 0}}}}, "ent_coef"),
        ({"max_grad_norm": {"schedule": "linear", "from": 1, "to": 2}}, "trainer.max_grad_norm"),
    ],
)  # fmt: skip
def test_graphs_refuse_a_schedule_whose_number_they_would_keep(
    config: Config, changes: dict[str, Any], reason: str | None
) -> None:
    settings = config(env={"backend": "cuda"}, trainer=changes)
    found = obstacle(settings, torch.device("cuda"))
    assert (found is None) if reason is None else (reason in str(found) and "follows a schedule" in str(found))
