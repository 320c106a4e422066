"""Schedules as words, in experiment files and sweeps, and how they are drawn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.config.conftest import Outcome

Runner = Callable[..., Outcome]
KEY = "trainer.losses.ppo_actor.ent_coef"
LINEAR = {"schedule": "linear", "from": 0.01, "to": 0.0, "over": [0, 1_000_000]}
WORD = f"{KEY}={{schedule: linear, from: 0.01, to: 0.0, over: [0, 1_000_000]}}"


def entropy(outcome: Outcome) -> Any:
    return outcome.tree["trainer"]["losses"]["ppo_actor"]["ent_coef"]


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "cmd: train\nrun: mine\ntrainer:\n  losses:\n    ppo_actor:\n      ent_coef:\n"
        "        schedule: cosine\n        from: 0.02\n        to: 0.001\n        over: [0, 50%]\n"
    )
    return path


def test_a_word_gives_a_schedule_in_place_of_a_number(run: Runner) -> None:
    assert entropy(run("cogsguard.train", WORD, "--cfg", "job", "--resolve")) == LINEAR


def test_shares_of_the_run_and_conditions_are_written_in_words(run: Runner) -> None:
    word = f'{KEY}={{schedule: linear, from: 1, to: 0, over: [0%, 12.5%], when: "env_agent/heart.gained>5"}}'
    assert entropy(run("cogsguard.train", word, "--cfg", "job", "--resolve")) == {
        "schedule": "linear", "from": 1.0, "to": 0.0, "over": ["0%", "12.5%"], "when": "env_agent/heart.gained > 5"
    }  # fmt: skip


def test_an_experiment_file_has_schedules_and_words_change_parts_of_them(train: Runner, experiment: Path) -> None:
    assert entropy(train(f"+user={experiment}", f"{KEY}.to=0.005", "--cfg", "job", "--resolve")) == {
        "schedule": "cosine", "from": 0.02, "to": 0.005, "over": [0, "50%"]
    }  # fmt: skip


def test_a_schedule_or_a_number_replaces_the_schedule_before_it(train: Runner, experiment: Path) -> None:
    step = f"{KEY}={{schedule: step, from: 1, to: 0, at: 5}}"
    replaced = {"schedule": "step", "from": 1.0, "to": 0.0, "at": 5}
    assert entropy(train(f"+user={experiment}", step, "--cfg", "job", "--resolve")) == replaced
    assert entropy(train(f"+user={experiment}", f"{KEY}=0.3", "--cfg", "job", "--resolve")) == 0.3
    assert entropy(train(f"+user={experiment}", f"{KEY}=0.3", step, "--cfg", "job", "--resolve")) == replaced


def test_a_file_that_gives_a_wrong_schedule_is_named(train: Runner, experiment: Path) -> None:
    experiment.write_text(experiment.read_text().replace("0.02", "-2"))
    outcome = train(f"+user={experiment}", "--dry-run")
    assert outcome.code == 2 and f"{KEY}: from=-2" in outcome.err and "mine.yaml" in outcome.err


def test_a_sweep_runs_over_schedules(run: Runner) -> None:
    words = f"{KEY}=choice(0.02,{{schedule: linear, from: 0.01, to: 0}})"
    outcome = run("cogsguard.train", "-m", "run=s", words, "--cfg", "job", "--resolve")
    assert outcome.code == 0, outcome.err
    assert "ent_coef: 0.02" in outcome.out and "schedule: linear" in outcome.out


def test_a_saved_run_repeats_its_schedules(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(run("cogsguard.train", "run=x", WORD, "--cfg", "job", "--resolve").out)
    assert entropy(run("--from", str(tmp_path), "--cfg", "job", "--resolve")) == LINEAR


def test_describe_draws_what_changes_and_says_what_does_not(run: Runner) -> None:
    step = 'trainer.advantage.gamma={schedule: step, from: 0.5, to: 0.75, when: "overview/reward > 1"}'
    outcome = run("cogsguard.train", "trainer.total_timesteps=4_000_000", WORD, step, "--describe", "schedule")
    assert outcome.code == 0, outcome.err
    rows = {line.split()[0]: line for line in outcome.out.splitlines() if line.strip()}
    assert "0.01" in rows[KEY] and "█▇" in rows[KEY] and "{schedule: linear" in rows[KEY]
    assert rows["trainer.advantage.gamma"].split()[1:4] == ["0.5", "▁" * 10 + "█" * 30, "0.75"]
    assert "constant" in rows["trainer.max_grad_norm"]
    assert "█" in rows["trainer.optimizer.learning_rate"]  # annealed
    assert "0 to 4,000,000 agent-steps" in outcome.out and "quarter of the run" in outcome.out


def test_describe_draws_every_phase(run: Runner) -> None:
    outcome = run("cogsguard.curriculum", "run=c", "small=true", WORD, "--describe", "schedule")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("run c.") == outcome.out.count(KEY) >= 2
