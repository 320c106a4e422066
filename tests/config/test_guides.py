"""The commands of the training guides compose, as people type them."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from metta.cli import cogames
from metta.rl.run.metrics import read_metrics
from tests.config.conftest import Outcome

GEAR = "metta://policy/cogsguard?gear=10"
SHARES = "teacher_led_proportion: {}, student_led_proportion: {}"
TRAIN = "recipes.experiment.cogsguard.train"


def teacher(uri: str, shares: str) -> str:
    return f"'teacher={{mode: sliced_cloner, policy_uri: \"{uri}\", {shares}}}'"


def bc(run: str) -> str:
    shares = SHARES.format(0.5, 0.5)
    return f"{TRAIN} run={run} {teacher(GEAR, shares)} trainer.total_timesteps=5_000_000_000 trainer.batch_size=2097152"


def miner(run: str) -> str:
    taught = teacher("metta://policy/miner", "teacher_led_proportion: 0.7")
    return f"{TRAIN} run={run} {taught} trainer.total_timesteps=2_000_000_000"


def ppo(run: str) -> str:
    return f"{TRAIN} run={run} trainer.total_timesteps=10_000_000_000"


STANDARD = (
    f"{TRAIN} run=relh-cogsguard-bc-002 {teacher('metta://policy/teacher', 'teacher_led_proportion: 0.5')}"
    " trainer.total_timesteps=5_000_000_000"
)
FULL = (
    f"{TRAIN} run=cogsguard-curriculum-full {teacher(GEAR, SHARES.format(0.3, 0.7))}"
    " trainer.total_timesteps=5_000_000_000"
)
FORMS = [bc("my-cogsguard-bc-001"), miner("my-cogsguard-miner-001"), STANDARD, FULL, ppo("my-cogsguard-ppo-001")]
COMMANDS = [
    *FORMS,
    *map(bc, ("my_experiment_name", "cogsguard-bc-smartgear-v1", "my-run", "relh-cogsguard-bc-001")),
    *map(miner, ("cogsguard-curriculum-miner", "relh-cogsguard-miner-001")),
    *map(ppo, ("cogsguard-ppo-baseline", "relh-cogsguard-ppo-001")),
    f"{TRAIN} run=demo trainer.total_timesteps=200_000 trainer.batch_size=8192",
    f"{TRAIN} run=clone teacher.policy_uri=metta://policy/cogsguard?gear=10 teacher.teacher_led_proportion=0.5",
    "recipes.experiment.cogsguard.play policy_uri=metta://policy/role render=gui max_steps=1000",
    "recipes.experiment.cogsguard.evaluate",
    "recipes.experiment.cogsguard.evaluate 'policy_uri=metta://policy/role?miner=4&scout=2' episodes=3 format=json",
]
COGAMES = [
    "train -m cogsguard_arena.basic --steps 5000000000 --batch-size 2097152 -p lstm",
    "train -m cogsguard_arena.basic --steps 1000000 --batch-size 4096 --device cpu",
    "train -m cogsguard_arena.basic --steps 100000 --batch-size 4096 --device cpu",
]
LOSSES = {  # "Key Training Config (Reference)" and "Appendix: Full Config Reference"
    "ppo_actor": {"enabled": True, "ent_coef": 0.01, "norm_adv": True, "clip_coef": 0.22},
    "ppo_critic": {"enabled": True, "vf_coef": 0.50, "critic_update": "gtd_lambda"},
    "sliced_scripted_cloner": {
        "enabled": True,
        "action_loss_coef": 1,
        "student_led_proportion": 0.5,
        "teacher_led_proportion": 0.5,
    },
}
SMALL = (
    "agent=lstm agent.hidden_size=16 trainer.total_timesteps=1024 trainer.batch_size=512 trainer.minibatch_size=128"
    " trainer.bptt_horizon=8 training_env.map_pool=2 training_env.num_workers=1 max_steps=24 device=cpu"
)
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
    outcome = run(*shlex.split(command), "--cfg", "job", "--resolve")
    assert outcome.err == "" and outcome.tree["cmd"]


@pytest.mark.parametrize("command", COGAMES)
def test_a_command_line_of_the_guides_composes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cogames.main(["--cfg=job", *shlex.split(command)]) == 0
    agent = "lstm" if "-p lstm" in command else "tutorial"  # that of the recipe
    assert yaml.safe_load(capsys.readouterr().out)["agent"]["name"] == agent


@pytest.mark.parametrize("command", FORMS)
def test_a_training_command_of_the_guides_trains(command: str, run: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = run(*shlex.split(command), *SMALL.split(), f"system.data_dir={tmp_path}")
    assert (outcome.code, outcome.err) == (0, "")
    (folder,) = tmp_path.iterdir()
    last = read_metrics(folder / "metrics.jsonl")[-1]
    assert f"run={folder.name}" in command and last["metric/agent_step"] == 1024
    assert ("losses/teacher_agreement" in last) == ("teacher=" in command)


def test_the_recommended_command_sets_what_it_says(run: Callable[..., Outcome]) -> None:
    tree = run(*shlex.split(COMMANDS[0]), "--cfg", "job", "--resolve").tree
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
    tree = train(*shlex.split(command), "--cfg", "job", "--resolve").tree
    assert tree["cmd"] == "train"
    assert tree["agent"]["name"] == "fast"
    assert tree["evals"]["missions"]["basic"]["name"] == "cogsguard_arena.basic"
    assert tree["training_env"]["num_workers"] in (2, 4)
    assert tree["trainer"]["dual_policy"]["enabled"]
    assert (
        "previous_run" in command or "wandb://" in tree["trainer"]["dual_policy"]["checkpoint_npc"]["checkpoint_path"]
    )


def contained(part: dict, whole: dict) -> bool:
    """Does a tree hold all keys of another with the same values?"""
    return all(
        contained(value, whole[key]) if isinstance(value, dict) else whole[key] == value for key, value in part.items()
    )


def test_the_reference_settings_of_the_guides_compose_from_a_file(tmp_path, train: Callable[..., Outcome]) -> None:
    file = tmp_path / "reference.yaml"
    settings = {
        "defaults": ["/common", "/agent/fast", "/trainer/trainer", "/sim/all@evals", "_self_"],
        "run": "reference",
        "cmd": "train",
        "trainer": {"total_timesteps": 20_000_000_000, "batch_size": 2097152, "losses": LOSSES},
        "training_env": {"supervisor_policy_uri": GEAR},
    }
    file.write_text(yaml.safe_dump(settings))
    tree = train(f"+user={file}", "wandb=offline", "--cfg", "job", "--resolve").tree
    assert contained({key: settings[key] for key in ("trainer", "training_env")}, tree)
    assert tree["wandb"]["mode"] == "offline"


@pytest.mark.parametrize("supervisor", [GEAR, "metta://policy/dinky:v15"])
def test_the_reference_recipe_holds_the_reference_settings(supervisor: str, run: Callable[..., Outcome]) -> None:
    tree = run("recipes.experiment.machina1_cloner.train", f"supervisor={supervisor}", "--cfg", "job", "--resolve").tree
    sizes = {"total_timesteps": 20_000_000_000, "batch_size": 2_097_152}
    assert contained({"trainer": {**sizes, "losses": LOSSES}}, tree)
    assert tree["training_env"]["supervisor_policy_uri"] == supervisor
    assert tree["mission"]["name"] == "cogsguard_machina_1.basic"


def test_the_reference_recipe_trains_small(run: Callable[..., Outcome], tmp_path: Path) -> None:
    words = [*SMALL.split(), f"system.data_dir={tmp_path}", "run=small"]
    outcome = run("recipes.experiment.machina1_cloner.train", "small=true", *words)
    assert (outcome.code, outcome.err) == (0, "")
    last = read_metrics(tmp_path / "small" / "metrics.jsonl")[-1]
    assert {"losses/gtd_aux_loss", "losses/teacher_agreement", "losses/policy_loss"} <= set(last)
