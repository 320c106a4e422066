"""An error names who set the value that is wrong: known from composing, whatever words the message has."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config.conftest import Outcome

Runner = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blamed(outcome: Outcome) -> str:
    """What stands behind `from` in the one line of an error."""
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1, outcome
    return outcome.err.rpartition(", from ")[2].strip()


@pytest.mark.parametrize("other", ["max_steps=37", "mission.cogs=2", "mission.variants=[easy]", "run=yaml"])
@pytest.mark.parametrize("text", ["bar: 2", "cog: {heart_limt: 3}", "variants: [eazy]", "max_steps: none"])
def test_what_a_mission_file_says_is_blamed_on_who_named_the_file(text: str, other: str, run: Runner) -> None:
    Path("yaml.yaml").write_text(f"base: cogsguard_arena.basic\n{text}\n")
    for words in (["mission=yaml.yaml", other], [other, "mission=yaml.yaml"]):
        assert blamed(run("cogsguard.train", *words, "--dry-run")) == "the word 'mission=yaml.yaml'"


@pytest.mark.parametrize(
    ("words", "culprit"),
    [
        (["mission.variants=[eazy]", "wandb.notes=eazy", "evals.name=variants"], "mission.variants=[eazy]"),
        (["mission.difficulty=hrd", "mission.cog={heart_limit: 2}"], "mission.difficulty=hrd"),
        (["mission.cog={heart_limit: x}", "mission.cog.hp_limit=50"], "mission.cog={heart_limit: x}"),
        (["mission.teams.cogs.welth=3", "mission.cogs=3"], "mission.teams.cogs.welth=3"),
        (["mission.map.site=nowhere", "max_steps=9"], "mission.map.site=nowhere"),
        (["mission=scoot", "max_steps=9", "mission.cogs=4"], "mission=scoot"),
        (["mission.variants=[multi_team]", "mission.cogs=7", "max_steps=9"], "mission.cogs=7"),
        (["mission.rewards=[gold]", "mission.cogs=4"], "mission.rewards=[gold]"),
        (["mission.cogs=7", "trainer.update_epochs=2"], "mission.cogs=7"),
        (["mission.cogs=21", "trainer.batch_size=131_072"], "mission.cogs=21"),
        (["trainer.batch_size=131_072", "mission.teams.cogs.num_agents=32"], "mission.teams.cogs.num_agents=32"),
        (["trainer.bptt_horizon=48", "trainer.update_epochs=2"], "trainer.bptt_horizon=48"),
        (["trainer.minibatch_size=1000", "training_env.num_envs=8"], "trainer.minibatch_size=1000"),
        (["env.name=pole", "env.backend=cpu"], "env.name=pole"),
        (["env.kind=gymnasium", "env.backend=cpu"], "env.kind=gymnasium"),
        (["agent=lstm", "env.kind=gymnasium", "env.name=CartPole-v1"], "agent=lstm"),
        (["wandb.notes=${", "max_steps=9"], "wandb.notes=${"),
        (["wandb.notes=${run", "max_steps=9"], "wandb.notes=${run"),
        (["wandb.notes=${}", "max_steps=9"], "wandb.notes=${}"),
        (["wandb.notes=x${wandb.notes}", "wandb.group=${run}"], "wandb.notes=x${wandb.notes}"),
        (["teacher={policy_uri: a, mode: eer_cloner}", "teacher.kwargs.epsilon=2"], "teacher.kwargs.epsilon=2"),
        (["trainer.dual_policy.enabled=true", "trainer.dual_policy.policy_a_percentage=0.3"],
         "trainer.dual_policy.enabled=true"),
        (["wandb.group=${nowhere.x}", "wandb.notes=${seed}", "max_steps=9"], "wandb.group=${nowhere.x}"),
    ],
)  # fmt: skip
def test_a_word_is_blamed_for_what_it_set_and_no_other(words: list[str], culprit: str, run: Runner) -> None:
    for order in (words, words[::-1]):
        assert blamed(run("cogsguard.train", *order, "--dry-run")) == f"the word '{culprit}'"


@pytest.mark.parametrize(
    "words",
    [
        ["training_env.num_envs=7", "trainer.batch_size=131072"],
        ["teacher.teacher_led_proportion=0.7",
         "trainer.losses.sliced_scripted_cloner.student_led_proportion=0.6"],
        ["teacher.kwargs.action_loss_coef=2", "trainer.losses.sliced_scripted_cloner.action_loss_coef=3"],
        ["training_env.supervisor_policy_uri=b", "teacher.policy_uri=a"],
    ],
)  # fmt: skip
def test_of_two_words_that_do_not_go_together_the_later_is_blamed(words: list[str], run: Runner) -> None:
    teacher = [] if "batch" in words[1] or "supervisor" in words[0] else ["teacher.policy_uri=a"]
    for order in (words, words[::-1]):
        outcome = run("cogsguard.train", *teacher, *order, "max_steps=37", "--dry-run")
        assert blamed(outcome) == f"the word '{order[-1]}'"


def test_a_phase_is_blamed_for_its_own_mission_and_the_run_for_the_rest(train: Runner) -> None:
    Path("mine.yaml").write_text(
        "mission: {cog: {hp_limit: 50}}\nphases:\n  a: {total_timesteps: 8, mission: {variants: [eazy]}}\n"
    )
    assert blamed(train("+user=mine.yaml", "mission.variants=[easy]", "--dry-run")) == "mine.yaml"
    Path("mine.yaml").write_text("phases:\n  a: {total_timesteps: 8, mission: {max_steps: 10}}\n")
    assert blamed(train("+user=mine.yaml", "mission.cogs=700", "--dry-run")) == "the word 'mission.cogs=700'"
    Path("mine.yaml").write_text("phases: {a: {total_timesteps: 8, mission: scoot}}")
    assert blamed(train("+user=mine.yaml", "mission=basic", "--dry-run")) == "mine.yaml"


def test_where_several_together_are_wrong_all_are_named(run: Runner) -> None:
    Path("map.txt").write_text("###\n#@#\n###\n")
    Path("drawn.yaml").write_text("cogs: 1\nmap: {picture: map.txt}\n")
    words = ["mission=drawn.yaml", "mission.cogs=5", "--dry-run"]
    assert {part.strip() for part in blamed(run("cogsguard.train", *words)).split(" or ")} >= {
        "the word 'mission=drawn.yaml'", "the word 'mission.cogs=5'"
    }  # fmt: skip
