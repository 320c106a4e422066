"""Experiment files and folders of one's own: Hydra's defaults lists, as people write them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config.conftest import Outcome

Runner = Callable[..., Outcome]
TREE = ("--cfg", "job", "--resolve")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(**files: str) -> None:
    """Files of settings in the working folder, by their name or path, with __ for a slash."""
    for name, text in files.items():
        path = Path(f"{name.replace('__', '/')}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def refused(outcome: Outcome, *parts: str) -> None:
    assert outcome.code == 2 and outcome.out == "" and len(outcome.err.splitlines()) == 1, outcome
    for part in parts:
        assert part in outcome.err


@pytest.mark.parametrize(
    ("listed", "path", "value"),
    [
        ("- override /trainer: small", "trainer.batch_size", 8192),
        ("- /trainer: large\n  - override /trainer: small", "trainer.batch_size", 8192),
        ("- /trainer/large\n  - override /trainer: small", "trainer.batch_size", 8192),
        ("- override /sim@evals: holdouts", "evals.name", "holdouts"),
        ("- override /agent: null", "agent.name", "tutorial"),
        ("- optional /trainer: none_of_these\n  - /agent: lstm", "agent.name", "lstm"),
        ("- /trainer: [large, small]", "trainer.batch_size", 8192),
        (
            "- /mission@evals.missions.mine: scout_tutorial",
            "evals.missions.mine.name",
            "cogsguard_arena.scout_tutorial",
        ),
        ("- /user/example", "evaluator.epoch_interval", 20),
        ("- /user: example", "trainer.batch_size", 8192),
        ("- /user/example@_global_", "evals.name", "all"),
        ("- parts/long", "trainer.bptt_horizon", 128),
        ("- parts: long", "trainer.bptt_horizon", 128),
        ("- at_trainer", "trainer.max_grad_norm", 0.25),
        ("- inner@trainer.optimizer: rates", "trainer.optimizer.beta1", 0.5),
        ("- agent: mine", "agent.name", "lstm"),
    ],
)
def test_entries_of_a_defaults_list_mean_what_they_mean_in_hydra(
    listed: str, path: str, value: object, train: Runner
) -> None:
    write(
        mine=f"defaults:\n  - /common\n  {listed}\n  - _self_\n",
        parts__long="trainer: {bptt_horizon: 128}",
        at_trainer="# @package trainer\nmax_grad_norm: 0.25",
        inner__rates="beta1: 0.5",
        agent__mine="defaults: [lstm]",
    )
    tree = train("+user=mine.yaml", *TREE).tree
    for part in path.split("."):
        tree = tree[part]
    assert tree == value


def test_what_an_experiment_overrides_takes_the_place_of_a_recipes_option(run: Runner) -> None:
    write(mine="defaults:\n  - override /agent: mlp\n  - override /phases: null\nagent: {hidden_size: 48}")
    tree = run("cogsguard.curriculum", "+user=mine.yaml", *TREE).tree
    assert tree["agent"]["name"] == "mlp" and tree["phases"] == {}
    assert 48 in [component.get("size") for component in tree["agent"]["components"].values()]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("defaults: [override /agnt: lstm]", ["did you mean agent?"]),
        ("defaults: [override hydra/launcher: joblib]", ["hydra/launcher", "words of the command line"]),
        ("hydra: {sweep: {dir: x}}", ["hydra.sweep.dir", "words of the command line"]),
        ("defaults: [/trainr: small]", ["no trainr 'small'", "did you mean trainer?"]),
        ("defaults: [trainer/smal]", ["did you mean small?"]),
        ("defaults: [/user/trainer: small]", ["did you mean /trainer: small?"]),
        ("defaults: [/trainer: {a: b}]", ["cannot read"]),
        ("defaults:\n  - /agent: ???", ["agent=… is missing"]),
        ("trainer:\n  batch_size: ???", ["trainer.batch_size=… is missing"]),
    ],
)
def test_an_entry_that_means_nothing_is_refused(text: str, parts: list[str], train: Runner) -> None:
    write(mine=text)
    refused(train("+user=mine.yaml", "--dry-run"), "mine.yaml", *parts)


def test_what_a_file_leaves_open_a_word_gives(train: Runner) -> None:
    write(mine="defaults:\n  - /agent: ???\ntrainer:\n  update_epochs: ???")
    words = ["agent=mingru", "trainer.update_epochs=3"]
    tree = train("+user=mine.yaml", *words, *TREE).tree
    assert (tree["agent"]["name"], tree["trainer"]["update_epochs"]) == ("mingru", 3)
    refused(train("+user=mine.yaml", words[0], "--dry-run"), "trainer.update_epochs")


@pytest.mark.filterwarnings("error")
def test_a_list_without_self_counts_before_the_file(train: Runner) -> None:
    write(mine="defaults: [/trainer/small]\ntrainer: {batch_size: 16384}\nrun: late")
    outcome = train("+user=mine.yaml", *TREE)
    assert outcome.err == "" and outcome.tree["trainer"]["batch_size"] == 16384


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("+user", "./mine.yml"),
        ("user", "mine.json"),
        ("++user", "~/mine.yml"),
        ("experiment", "configs/user/b.yaml"),
        ("+experiment", "~/mine.json"),
    ],
)
def test_an_experiment_is_named_by_either_word_and_any_path(
    word: str, name: str, here: Path, train: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here))
    Path("mine.yml").write_text("defaults: [beside]\ntrainer: {update_epochs: 6}")
    Path("mine.json").write_text('{"defaults": ["beside"], "trainer": {"update_epochs": 6}}')
    write(beside="run: besides", configs__user__b="run: besides\ntrainer: {update_epochs: 6}")
    tree = train(f"{word}={name}", *TREE).tree
    assert (tree["run"], tree["trainer"]["update_epochs"]) == ("besides", 6)


def test_several_experiments_are_laid_one_over_another(run: Runner) -> None:
    write(a="run: a\ntrainer: {update_epochs: 5}", b="run: b")
    for words in (["+user=[a.yaml,b.yaml]"], ["user=a.yaml", "+experiment=b.yaml"]):
        tree = run("cogsguard.train", *words, *TREE).tree
        assert (tree["run"], tree["trainer"]["update_epochs"]) == ("b", 5)
    refused(run("cogsguard.train", "user=a.yaml,b.yaml", "--dry-run"), "-m")
    refused(run("cogsguard.train", "~user", "--dry-run"), "'~user'")
    assert run("cogsguard.train", "-m", "user=a.yaml,b.yaml", "--dry-run").out.count("train ") == 2


def test_an_experiment_is_laid_over_a_saved_run(run: Runner) -> None:
    write(old__config=run("cogsguard.train", "run=old", "seed=5", *TREE).out, mine="trainer: {update_epochs: 9}")
    tree = run("--from", "old", "+user=mine.yaml", *TREE).tree
    assert (tree["run"], tree["system"]["seed"], tree["trainer"]["update_epochs"]) == ("old.repeat", 5, 9)


@pytest.mark.parametrize(("typed", "hint"), [("big", "./big.yml"), ("./big", "./big.yml"), ("exmple", "example")])
def test_an_experiment_that_is_not_there_names_the_nearest(typed: str, hint: str, train: Runner) -> None:
    Path("big.yml").write_text("run: big")
    refused(train(f"+user={typed}", "--dry-run"), f"no experiment '{typed}'", hint, f"'+user={typed}'")


MORE = [["--config-dir", "conf"], ["hydra.searchpath=[file://{}/conf]"]]


@pytest.mark.parametrize("words", MORE)
def test_folders_of_ones_own_hold_options_and_experiments(words: list[str], here: Path, run: Runner) -> None:
    write(
        conf__trainer__tiny="defaults: [small]\nbatch_size: 16384",
        conf__experiment__night="defaults: [override /trainer: tiny]\nrun: night",
        conf__user__day="run: day",
    )
    words = [word.format(here) for word in words]
    tree = run("cogsguard.train", "+experiment=night", *words, *TREE).tree
    assert (tree["run"], tree["trainer"]["batch_size"], tree["trainer"]["total_timesteps"]) == (
        "night",
        16384,
        1_000_000,
    )
    assert run("cogsguard.train", "user=day", "trainer=tiny", *words, "--dry-run").out.startswith("train day:")
    assert run("cogsguard.train", "-m", "trainer=glob(t*)", *words, "--dry-run").out.count("train ") == 3
    assert "tiny" in run("cogsguard.train", "--help", *words).out
    refused(run("cogsguard.train", "trainer=tinny", *words, "--dry-run"), "did you mean tiny?")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--config-dir", "nowhere"], "no folder 'nowhere'"),
        (["hydra.searchpath=[pkg://conf]"], "may import code"),
        (["hydra.searchpath=[conf]", "--config-dir", "again"], "trainer 'tiny': rename one"),
        (["--config-dir", "shadow"], "agent 'lstm': rename one"),
    ],
)
def test_a_folder_that_cannot_be_searched_is_refused(words: list[str], part: str, run: Runner) -> None:
    write(conf__trainer__tiny="", again__trainer__tiny="", shadow__agent__lstm="")
    refused(run("cogsguard.train", *words, "--dry-run"), part)


@pytest.mark.parametrize(
    "word", ["mission@evals.missions.mine=scout_tutorial", "+mission@evals.missions.mine=scout_tutorial"]
)
def test_a_word_may_put_an_option_elsewhere(word: str, run: Runner) -> None:
    tree = run("cogsguard.train", word, *TREE).tree
    assert tree["evals"]["missions"]["mine"]["name"] == "cogsguard_arena.scout_tutorial"
    assert tree["mission"]["name"] == "cogsguard_arena.basic"
    refused(run("cogsguard.train", "mission@evals.missions.mine=scot", "--dry-run"), "no mission 'scot'")
