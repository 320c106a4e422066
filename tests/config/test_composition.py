"""What words, groups, files and saved runs make of the tree."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from metta.config.files import GROUPS, options
from metta.config.schema import find, leaves
from metta.eval.settings import EvaluateConfig, PlayConfig
from metta.game.mission import CogSettings
from metta.rl.settings import RunConfig
from tests.config.conftest import Outcome

Runner = Callable[..., Outcome]


def test_without_words_the_tree_holds_the_defaults_of_the_models(run: Runner) -> None:
    tree = run("cogsguard.train", "run=x", "--cfg", "job", "--resolve").tree
    assert tree == RunConfig(run="x").model_dump(mode="json")
    assert run("cogsguard.evaluate", "--cfg", "job", "--resolve").tree == EvaluateConfig().model_dump(mode="json")
    assert run("cogsguard.play", "--cfg", "job", "--resolve").tree == PlayConfig().model_dump(mode="json")


@pytest.mark.parametrize(
    "names", [["recipes.experiment.cogsguard.train"], ["experiment.cogsguard.train"], ["cogsguard.train"]]
)
def test_a_recipe_has_long_and_short_names(names: list[str], run: Runner) -> None:
    assert run(*names, "run=x", "--dry-run").out.startswith("train x:")


def test_a_recipe_is_named_by_two_words_in_either_order(run: Runner) -> None:
    assert run("cogsguard", "train", "run=x", "--dry-run").out == run("train", "cogsguard", "run=x", "--dry-run").out


@pytest.mark.parametrize(
    ("word", "path", "value"),
    [
        ("trainer.optimizer.learning_rate=1e-3", "trainer.optimizer.learning_rate", 0.001),
        ("+trainer.max_grad_norm=2", "trainer.max_grad_norm", 2.0),
        ("++trainer.compile=true", "trainer.compile", True),
        ("trainer={update_epochs: 2}", "trainer.update_epochs", 2),
        ("wandb=offline", "wandb.mode", "offline"),
        ("wandb=off", "wandb.mode", "off"),
        ("wandb.mode=off", "wandb.mode", "off"),
        ("agent=lstm", "agent.name", "lstm"),
        ("mission=cogsguard_arena.scout_tutorial", "mission.name", "cogsguard_arena.scout_tutorial"),
        ("mission=scout_tutorial", "mission.name", "cogsguard_arena.scout_tutorial"),
        ("mission.variants=easy", "mission.variants", ["easy"]),
        ("mission.variants=easy,no_vibes", "mission.variants", ["easy", "no_vibes"]),
        ("mission.rewards=[aligner]", "mission.rewards", ["aligner"]),
        ("mission.cog.heart_limit=3", "mission.cog", {"heart_limit": 3}),
        ("mission.cog={heart_limit: 3}", "mission.cog", {"heart_limit": 3}),
        ("mission.teams.cogs.wealth=3", "mission.teams", {"cogs": {"wealth": 3}}),
        ("sim=difficulties", "evals.name", "difficulties"),
        ("sim@evals=difficulties", "evals.name", "difficulties"),
        ("trainer.num_workers=3", "training_env.num_workers", 3),
        ("checkpointer.keep=3", "checkpointer.keep_last", 3),
        ("device=cpu", "system.device", "cpu"),
        ("seed=7", "system.seed", 7),
        ("max_steps=50", "mission.max_steps", 50),
        ("run=001", "run", "001"),
        ("wandb.tags=[a,b]", "wandb.tags", ["a", "b"]),
        ("wandb.notes='two words, quoted'", "wandb.notes", "two words, quoted"),
        ("wandb.group=${system.device}", "wandb.group", "auto"),
        ("~trainer.optimizer", "trainer.optimizer.type", "adam"),
        ("~teacher", "teacher", None),
    ],
)
def test_a_word_sets_one_place_of_the_tree(word: str, path: str, value: object, run: Runner) -> None:
    tree = run("cogsguard.train", word, "--cfg", "job", "--resolve").tree
    for part in path.split("."):
        tree = tree[part]
    assert tree == value


def test_references_to_references_are_read(run: Runner) -> None:
    words = ["run=abc", "wandb.group=g-${run}", "wandb.notes=${wandb.group} with ${.group}"]
    tree = run("cogsguard.train", *words, "--cfg", "job", "--resolve").tree
    assert (tree["wandb"]["group"], tree["wandb"]["notes"]) == ("g-abc", "g-abc with g-abc")


def test_a_parameter_of_the_recipe_takes_its_word(run: Runner) -> None:
    outcome = run("cogsguard.tutorial", "role=scout", "--cfg", "job", "--resolve")
    assert outcome.tree["mission"]["name"] == "cogsguard_arena.scout_tutorial"


def test_verbose_says_where_each_word_went(run: Runner) -> None:
    words = ["role=scout", "agent=lstm", "device=cpu", "user=example"]
    outcome = run("cogsguard.tutorial", *words, "--dry-run", "--verbose")
    assert "role=scout: parameter role of recipes.experiment.cogsguard.tutorial" in outcome.err
    assert "agent=lstm: option of the group agent" in outcome.err
    assert "device=cpu: key system.device" in outcome.err
    assert "user=example: experiment file" in outcome.err


def test_a_word_beats_a_group_beats_an_experiment_file(tmp_path: Path, train: Runner) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("defaults: [/trainer/small, /wandb/online, _self_]\nrun: mine\ntrainer: {update_epochs: 3}\n")
    tree = train(f"+user={file}", "trainer.bptt_horizon=32", "wandb=off", "--cfg", "job", "--resolve").tree
    assert (tree["trainer"]["batch_size"], tree["trainer"]["update_epochs"]) == (8192, 3)
    assert (tree["trainer"]["bptt_horizon"], tree["wandb"]["mode"]) == (32, "off")


def test_a_file_may_name_options_as_text_and_leave_branches_empty(tmp_path: Path, train: Runner) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("agent: lstm\nwandb: off\nmission: aligner_tutorial\ntrainer:\n")
    tree = train(f"+user={file}", "--cfg", "job", "--resolve").tree
    assert (tree["agent"]["name"], tree["wandb"]["mode"]) == ("lstm", "off")
    assert tree["mission"]["name"] == "cogsguard_arena.aligner_tutorial"


def test_an_experiment_names_its_job(tmp_path: Path, train: Runner) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("cmd: evaluate\nepisodes: 3\n")
    assert train(f"+user={file}", "--cfg", "job", "--resolve").tree["episodes"] == 3


@pytest.mark.parametrize("group", sorted({*GROUPS.values()} - {"env"}))
def test_every_option_of_every_group_composes(group: str, run: Runner) -> None:
    for option in options(group):
        word = f"sim={option}" if group == "sim" else f"{group}={option}"
        assert run("cogsguard.train", word, "--cfg", "job", "--resolve").code == 0, word


@pytest.mark.parametrize(
    ("option", "name"), [("gymnasium", "CartPole-v1"), ("pettingzoo", "tests.rl.experience.foreign_envs:Mirror")]
)
def test_environments_of_other_libraries_compose_by_name(option: str, name: str, run: Runner) -> None:
    pytest.importorskip("pufferlib")
    outcome = run("cogsguard.train", f"env={option}", f"env.name={name}", "agent=mlp", "--dry-run")
    assert outcome.code == 0 and f"{option} {name}" in outcome.out


def test_every_experiment_file_composes(train: Runner) -> None:
    for name in options("user"):
        assert train(f"+user={name}", "--cfg", "job", "--resolve").code == 0, name


def test_multirun_composes_one_job_for_each_combination_under_its_own_name(run: Runner) -> None:
    outcome = run("cogsguard.train", "run=d", "-m", "seed=1,2", "agent=lstm,fast", "--dry-run")
    names = [line.split(":")[0] for line in outcome.out.splitlines()]
    assert names == [f"train d.seed_{seed}.agent_{agent}" for seed in (1, 2) for agent in ("lstm", "fast")]


def test_multirun_over_addresses_keeps_them_whole(run: Runner) -> None:
    words = ["teacher.policy_uri=metta://policy/a?x=1,metta://policy/b?x=2", "run=d"]
    outcome = run("cogsguard.train", "-m", *words, "--cfg", "job", "--resolve")
    trees = list(yaml.safe_load_all(outcome.out))
    assert [tree["teacher"]["policy_uri"] for tree in trees] == ["metta://policy/a?x=1", "metta://policy/b?x=2"]
    assert len({tree["run"] for tree in trees}) == 2


def test_multirun_over_run_names_adds_no_suffix(run: Runner) -> None:
    outcome = run("cogsguard.train", "-m", "run=a,b", "--dry-run")
    assert [line.split(":")[0] for line in outcome.out.splitlines()] == ["train a", "train b"]


def test_a_saved_tree_composes_to_itself(tmp_path: Path, run: Runner) -> None:
    words = [
        "run=1e5",
        "teacher.policy_uri=metta://policy/role?miner=4&scout=2",
        "mission=aligner_tutorial",
        "mission.cog={heart_limit: 3, hp_modifiers: {scout: 10}}",
        "sim=all",
        "wandb.notes='off'",
        f"system.data_dir={tmp_path}",
    ]
    saved = run("cogsguard.train", *words, "--cfg", "job", "--resolve")
    folder = tmp_path / "1e5"
    folder.mkdir()
    (folder / "config.yaml").write_text(saved.out)
    assert run("--from", str(folder), "run=1e5", "--cfg", "job", "--resolve").tree == saved.tree
    repeated = run("--from", str(folder), "--cfg", "job", "--resolve").tree
    assert repeated == saved.tree | {"run": "1e5.repeat"}
    (tmp_path / "1e5.repeat").mkdir()
    changed = run("--from", str(folder), "trainer.update_epochs=4", "--cfg", "job", "--resolve").tree
    assert (changed["run"], changed["trainer"]["update_epochs"]) == ("1e5.repeat2", 4)


def test_a_run_without_a_name_gets_one(run: Runner) -> None:
    name = run("cogsguard.train", "--cfg", "job", "--resolve").tree["run"]
    assert re.fullmatch(r"[\w-]+\.cogsguard\.train\.\d{8}-\d{6}", name)


def test_the_keys_of_the_mission_are_known_and_described() -> None:
    key = find(RunConfig, "mission.cog.gear_limit")
    assert key is not None
    assert key.meaning == CogSettings.model_fields["gear_limit"].description


def test_every_key_has_a_meaning() -> None:
    keys = [key for tree in (RunConfig, EvaluateConfig, PlayConfig) for key in leaves(tree)]
    assert [key.path for key in keys if not key.meaning] == []


@pytest.mark.parametrize(
    ("word", "path", "values"),
    [
        ("agent=glob([t*,l*])", "agent.name", ["lstm", "tutorial"]),
        ("agent=glob(*,exclude=[*l*,m*,vit])", "agent.name", ["fast"]),
        ("+trainer=glob(s*)", "trainer.batch_size", [8192]),
        ("mission=glob(sc*)", "mission.name", ["cogsguard_arena.scout_tutorial", "cogsguard_arena.scrambler_tutorial"]),
        ("mission=glob(cogsguard_arena.b*)", "mission.name", ["cogsguard_arena.basic"]),
        ("sim@evals=glob(d*)", "evals.name", ["difficulties"]),
        ("seed=choice(7,5)", "system.seed", [7, 5]),
        ("seed=sort(7,5,reverse=true)", "system.seed", [7, 5]),
        ("seed=range(9,2,-3)", "system.seed", [9, 6, 3]),
        ("trainer.max_grad_norm=range(0.5,1.5,0.5)", "trainer.max_grad_norm", [0.5, 1.0]),
    ],
)
def test_multirun_takes_every_form_in_which_hydra_lists_values(
    word: str, path: str, values: list[object], run: Runner
) -> None:
    found = []
    for tree in yaml.safe_load_all(run("cogsguard.train", "-m", word, "run=d", "--cfg", "job", "--resolve").out):
        for part in path.split("."):
            tree = tree[part]
        found.append(tree)
    assert found == values


def test_the_batch_is_divided_among_the_agents_that_learn(run: Runner) -> None:
    words = ["mission.cogs=6", "trainer.batch_size=48960", "trainer.minibatch_size=16320"]  # 765 segments of 64 steps
    dual = "trainer.dual_policy={enabled: true, scripted_npc: {policy_uri: noop}, npc_type: scripted}"
    assert run("cogsguard.train", *words, "--dry-run").code == 2
    assert run("cogsguard.train", *words, dual, "--dry-run").code == 0
    assert (
        "policy_a_percentage=0"
        in run("cogsguard.train", dual, "trainer.dual_policy.policy_a_percentage=0", "--dry-run").err
    )
