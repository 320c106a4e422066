"""The commands of the training guides compose, as people type them."""

import shlex
from collections.abc import Callable

import pytest

from tests.config.conftest import Outcome

SMART_GEAR = (
    '\'teacher={mode: sliced_cloner, policy_uri: "metta://policy/cogsguard?gear=10",'
    " teacher_led_proportion: 0.5, student_led_proportion: 0.5}'"
)
TRAIN = "recipes.experiment.cogsguard.train"
COMMANDS = [
    f"{TRAIN} run=my-cogsguard-bc-001 {SMART_GEAR} trainer.total_timesteps=5_000_000_000 trainer.batch_size=2097152",
    f"{TRAIN} run=my-cogsguard-ppo-001 trainer.total_timesteps=10_000_000_000",
    f"{TRAIN} run=my-cogsguard-miner-001"
    " 'teacher={mode: sliced_cloner, policy_uri: \"metta://policy/miner\", teacher_led_proportion: 0.7}'"
    " trainer.total_timesteps=2_000_000_000",
    f"{TRAIN} run=cogsguard-curriculum-full"
    ' \'teacher={mode: sliced_cloner, policy_uri: "metta://policy/cogsguard?gear=10",'
    " teacher_led_proportion: 0.3, student_led_proportion: 0.7}'"
    " trainer.total_timesteps=5_000_000_000",
    f"{TRAIN} run=relh-cogsguard-bc-002"
    " 'teacher={mode: sliced_cloner, policy_uri: \"metta://policy/teacher\", teacher_led_proportion: 0.5}'"
    " trainer.total_timesteps=5_000_000_000",
    f"{TRAIN} run=relh-cogsguard-ppo-001 trainer.total_timesteps=10_000_000_000",
    f"{TRAIN} run=demo trainer.total_timesteps=200_000 trainer.batch_size=8192",
    f"{TRAIN} run=clone teacher.policy_uri=metta://policy/cogsguard?gear=10 teacher.teacher_led_proportion=0.5",
    "recipes.experiment.cogsguard.play policy_uri=metta://policy/role render=gui max_steps=1000",
    "recipes.experiment.cogsguard.evaluate",
    "recipes.experiment.cogsguard.evaluate 'policy_uri=metta://policy/role?miner=4&scout=2' episodes=3 format=json",
]
EXPERIMENTS = [
    "+user=dual_policy_checkpoint_example run=my_experiment"
    ' trainer.dual_policy.checkpoint_npc.checkpoint_path="wandb://metta-research/metta/model/'
    'yudhister.recipes.arena.2x8.efficiency_baseline.07-24-00-18:latest"'
    " trainer.total_timesteps=10000000000 trainer.num_workers=4",
    "+user=dual_policy_checkpoint_local_example run=local_test"
    ' trainer.dual_policy.checkpoint_npc.checkpoint_path="./train_dir/previous_run/checkpoints/model_0000.pt"'
    " trainer.total_timesteps=1000000 trainer.num_workers=2 wandb=off",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_guides_composes(command: str, run: Callable[..., Outcome]) -> None:
    outcome = run(*shlex.split(command), "--dry-run")
    assert (outcome.code, outcome.err) == (0, "")
    assert len(outcome.out.splitlines()) == 1


def test_the_recommended_command_sets_what_it_says(run: Callable[..., Outcome]) -> None:
    tree = run(*shlex.split(COMMANDS[0]), "--cfg", "job").tree
    assert tree["run"] == "my-cogsguard-bc-001"
    assert tree["trainer"]["total_timesteps"] == 5_000_000_000
    assert tree["trainer"]["batch_size"] == 2_097_152
    assert tree["teacher"] == {
        "mode": "sliced_cloner",
        "policy_uri": "metta://policy/cogsguard?gear=10",
        "teacher_led_proportion": 0.5,
        "student_led_proportion": 0.5,
        "steps": 1_000_000_000,
        "kwargs": {},
    }


@pytest.mark.parametrize("command", EXPERIMENTS)
def test_an_experiment_command_composes(command: str, train: Callable[..., Outcome]) -> None:
    tree = train(*shlex.split(command), "--cfg", "job").tree
    assert tree["cmd"] == "train"
    assert tree["agent"]["name"] == "fast"
    assert tree["evals"]["missions"]["basic"]["name"] == "cogsguard_arena.basic"
    assert tree["training_env"]["num_workers"] in (2, 4)
    assert tree["trainer"]["dual_policy"]["enabled"]
    assert (
        "previous_run" in command or "wandb://" in tree["trainer"]["dual_policy"]["checkpoint_npc"]["checkpoint_path"]
    )


def test_the_reference_settings_of_the_guides_compose_from_a_file(tmp_path, train: Callable[..., Outcome]) -> None:
    file = tmp_path / "reference.yaml"
    file.write_text(
        """
defaults:
  - /common
  - /agent/fast
  - /trainer/trainer
  - /sim/all@evals
  - _self_

run: reference
cmd: train

trainer:
  total_timesteps: 20_000_000_000
  batch_size: 2097152
  losses:
    ppo_actor: {enabled: true, ent_coef: 0.01, norm_adv: true, clip_coef: 0.22}
    ppo_critic: {enabled: true, vf_coef: 0.50, critic_update: gtd_lambda}
    sliced_scripted_cloner:
      enabled: true
      action_loss_coef: 1
      student_led_proportion: 0.5
      teacher_led_proportion: 0.5

training_env:
  supervisor_policy_uri: 'metta://policy/cogsguard?gear=10'
"""
    )
    tree = train(f"+user={file}", "wandb=offline", "--cfg", "job").tree
    assert tree["trainer"]["losses"]["ppo_actor"]["clip_coef"] == 0.22
    assert tree["training_env"]["supervisor_policy_uri"] == "metta://policy/cogsguard?gear=10"
    assert tree["wandb"]["mode"] == "offline"
