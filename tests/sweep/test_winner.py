"""The winner of a sweep as an experiment file."""

from pathlib import Path

import pytest
import yaml

from metta.common.errors import UserError
from metta.config.composition import compose
from metta.config.recipes import resolve
from metta.config.words import parse_word
from metta.sweep.plan import make_plan
from metta.sweep.results import Found, Results
from metta.sweep.winner import write_experiment

VALUES = {"trainer.optimizer.learning_rate": 0.0123, "trainer.update_epochs": 3}


def results(name: str, recipe: str, *words: str) -> Results:
    plan = make_plan(resolve([recipe]), [parse_word(word) for word in words], name)
    won = Found(1, "finished", False, VALUES, 2.5, (None, None), None, 100, 1.0, "", None)
    return Results(plan, [won])


@pytest.mark.parametrize(
    ("name", "recipe", "words"),
    [
        ("cartpole", "cogsguard.train", ["trainer.batch_size=1024"]),
        ("aligner", "cogsguard.tutorial", ["role=scout", "training_env.num_workers=1"]),
        ("aligner", "cogsguard.train", ["hydra.searchpath=[docs]", "trainer.bptt_horizon=32"]),
    ],
)
def test_it_composes_to_what_the_trial_ran(tmp_path: Path, name: str, recipe: str, words: list[str]) -> None:
    found = results(name, recipe, *words)
    write_experiment(found, tmp_path / "best.yaml")
    config = compose(None, [parse_word(f"user={tmp_path / 'best.yaml'}"), parse_word("run=a")]).config
    ran = compose(resolve([recipe]), [*found.plan.words(VALUES), parse_word("run=a")]).config
    apart = {"wandb": {"group"}}
    assert config.model_dump(exclude=apart) == ran.model_dump(exclude=apart)


def test_of_an_experiment_that_was_swept_it_names_the_run_instead(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\+experiment=example.*--from .*aligner/trial-0001"):
        write_experiment(results("aligner", "cogsguard.train", "+experiment=example"), tmp_path / "best.yaml")


def test_it_replaces_an_earlier_winner_and_no_other_file(tmp_path: Path) -> None:
    found, path = results("cartpole", "cogsguard.train"), tmp_path / "best.yaml"
    write_experiment(found, path)
    write_experiment(found, path)
    assert yaml.safe_load(path.read_text())["trainer"]["update_epochs"] == 3
    path.write_text("cmd: train\n")
    with pytest.raises(UserError, match="it is not overwritten"):
        write_experiment(found, path)
