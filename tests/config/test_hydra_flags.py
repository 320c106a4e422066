"""Flags and forms of words that a user of Hydra types: they work, or name the word that does."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.config.conftest import Outcome

Runner = Callable[..., Outcome]
TRAIN = "cogsguard.train"


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (["--config-name", "x"], ["--config-name", "+user=NAME"]),
        (["-cn=x"], ["-cn", "+user=NAME"]),
        (["--config-path", "conf"], ["--config-dir"]),
        (["--experimental-rerun", "config.pickle"], ["--from"]),
        (["--hydra-help"], ["--help"]),
        (["--cfg", "hydra"], ["--cfg job"]),
        (["--resolve"], ["--cfg job"]),
        (["--package", "wandb"], ["--cfg job"]),
        (["--cfg", "job", "-p", "wandb.note"], ["did you mean wandb.notes"]),
        (["--info", "plugins"], ["searchpath"]),
        (["--run", "-m"], ["--multirun"]),
    ],
)
def test_a_flag_that_means_nothing_here_names_what_does(flags: list[str], parts: list[str], run: Runner) -> None:
    outcome = run(TRAIN, *flags)
    assert outcome.code == 2 and outcome.out == "" and len(outcome.err.splitlines()) == 1
    assert all(part in outcome.err for part in parts), outcome.err


def test_run_is_what_is_done_anyway(run: Runner) -> None:
    assert run(TRAIN, "--run", "run=a", "--dry-run").out == run(TRAIN, "-r", "run=a", "--dry-run").out


def test_version_names_both(run: Runner, train: Runner) -> None:
    assert run("--version").out == train("--version").out and "Hydra 1.3" in run("--version").out


def test_the_tree_is_printed_as_it_was_written_or_resolved(run: Runner, tmp_path: Path) -> None:
    words = [TRAIN, "run=a", "agent=lstm", "agent.hidden_size=96", "wandb.notes=${system.seed} of ${run}", "seed=7"]
    written, resolved = run(*words, "-c", "job"), run(*words, "--cfg", "all", "--resolve")
    assert written.tree["wandb"]["notes"] == "${system.seed} of ${run}" and resolved.tree["wandb"]["notes"] == "7 of a"
    (tmp_path / "config.yaml").write_text(written.out)
    assert run("--from", str(tmp_path), "run=a", "--cfg", "job", "--resolve").tree == resolved.tree


def test_a_package_is_a_part_of_the_tree(run: Runner, tmp_path: Path) -> None:
    part = run(TRAIN, "trainer=small", "trainer.update_epochs=4", "--cfg", "job", "--package", "trainer")
    assert part.out.startswith("# @package trainer\n")
    assert run(TRAIN, "wandb.tags=[a]", "--cfg", "job", "-p", "wandb.tags").out == "- a\n"
    assert run(TRAIN, "seed=12", "--cfg", "job", "-p", "system.seed").out == "12\n"
    assert run(TRAIN, "run=a", "--cfg", "job", "-p", "_global_").tree["run"] == "a"
    (tmp_path / "part.yaml").write_text(part.out)
    assert run(TRAIN, f"user={tmp_path / 'part.yaml'}", "--cfg", "job", "--package", "trainer").out == part.out


WORDS = ["small=true", "agent=mlp", "+user=example", "seed=3"]


def test_info_lists_the_layers_in_their_order_with_who_named_them(run: Runner) -> None:
    lines = run(TRAIN, *WORDS, "--info", "defaults").out.splitlines()[2:]
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    assert ["configs/trainer/small.yaml", "trainer", "configs/user/example.yaml"] in rows
    assert rows[-3:] == [
        ["configs/user/example.yaml", "run, cmd, trainer, evaluator", "the word '+user=example'"],
        ["configs/agent/mlp.yaml", "agent", "the word 'agent=mlp'"],
        ["the word 'seed=3'", "system.seed"],
    ]
    assert not any("agent/map" in line for line in lines), "the recipe's own has no effect any more"


def test_info_draws_who_named_whom(run: Runner) -> None:
    lines = run(TRAIN, *WORDS, "--info", "defaults-tree").out.splitlines()
    begin = lines.index("the word '+user=example'")
    assert lines[begin + 1 : begin + 6] == [
        "  configs/user/example.yaml",
        "    configs/common.yaml",
        "      configs/system/auto.yaml",
        "      configs/wandb/off.yaml",
        "      _self_",
    ]
    assert lines[-3:] == ["the word 'agent=mlp'", "  configs/agent/mlp.yaml", "the word 'seed=3'"]


def test_info_shows_the_resolved_tree_the_folders_or_all(run: Runner) -> None:
    assert run(TRAIN, "run=a", "-i", "config").tree == run(TRAIN, "run=a", "--cfg", "job", "--resolve").tree
    assert run(TRAIN, "--info", "searchpath").out.rstrip().endswith("configs")
    assert run(TRAIN, "run=a", "--info").out == run(TRAIN, "run=a", "--info", "all").out
    assert run(TRAIN, "-m", "seed=1,2", "--info", "defaults").out.count("---\n") >= 1


@pytest.mark.parametrize(
    ("word", "notes"),
    [
        ("${oc.env:WHO}", "ann"),
        ("by ${oc.env:WHO} of ${run}", "by ann of a"),
        ("${oc.env:NOBODY,none}", "none"),
        ("str(7)", "7"),
    ],
)
def test_a_word_may_read_the_environment(word: str, notes: str, run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "ann")
    tree = run(TRAIN, "run=a", f"wandb.notes={word}", "--cfg", "job", "--resolve").tree
    assert tree["wandb"]["notes"] == notes


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["wandb.notes=${oc.env:NOBODY}"], ["the environment has no NOBODY"]),
        (["wandb.notes=${oc.decode:x}"], ["references are ${key}"]),
        (["wandb.notes=${now:%H}"], ["references are ${key}"]),
        (["wandb.notes=${max_steps}"], ["did you mean mission.max_steps?"]),
        (["seed=extend_list(1)"], ["system.seed is no list"]),
        (["-m", "seed=rnge(1,4)"], ["'seed=rnge(1,4)'"]),
        (["seed=choice(1,2)"], ["-m"]),
        (["seed=tag(a,choice(1,2))"], ["-m"]),
        (["trainer.max_grad_norm=interval(0,1)"], ["range(…)"]),
    ],
)  # fmt: skip
def test_a_form_that_means_nothing_is_refused(words: list[str], parts: list[str], run: Runner) -> None:
    outcome = run(TRAIN, *words, "--dry-run")
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1
    assert all(part in outcome.err for part in [*parts, "the word" * (parts[0] != "-m")]), outcome.err


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("seed=int(choice(3.0,4.0))", [3, 4]),
        ("seed=tag(mine,range(2,4))", [2, 3]),
        ("seed=sort(9,5,7)", [5, 7, 9]),
        ("trainer.max_grad_norm=float(range(1,3))", [1.0, 2.0]),
        ("trainer.compile=bool(choice(0,1))", [False, True]),
        ("run=str(choice(1,2))", ["1", "2"]),
    ],
)
def test_casts_and_tags_go_with_lists_of_values(word: str, values: list[object], run: Runner) -> None:
    key = "system.seed" if word.startswith("seed") else word.partition("=")[0]
    printed = run(TRAIN, "-m", word, "--cfg", "job", "-p", key).out
    assert list(yaml.safe_load_all(printed)) == values


def test_shuffled_values_all_come_once(run: Runner) -> None:
    printed = run(TRAIN, "-m", "seed=shuffle(range(5,9))", "--cfg", "job", "-p", "system.seed").out
    assert sorted(yaml.safe_load_all(printed)) == [5, 6, 7, 8]


def test_a_list_is_extended_by_what_stands_behind_it(run: Runner) -> None:
    words = ["wandb.tags=[x]", "wandb.tags=extend_list(y, 'z, w')", "wandb.tags=extend_list(3)"]
    assert run(TRAIN, *words, "--cfg", "job", "-p", "wandb.tags").out == "- x\n- y\n- z, w\n- '3'\n"
