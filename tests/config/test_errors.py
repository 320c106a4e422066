"""Bad input: one line that names what is wrong, the nearest valid names and where it came from; exit 2."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config.conftest import Outcome

Runner = Callable[..., Outcome]
WORD = "from the word"
ENT_COEF = "trainer.losses.ppo_actor.ent_coef"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["cogsgard.train"], ["'cogsgard.train'", "cogsguard.train", "command line"]),
        (["recipes.experiment.cogsguard.trian"], ["recipes.experiment.cogsguard.train"]),
        (["nowhere", "--list"], ["'nowhere'"]),
        (["cogsguard.train", "demo"], ["'cogsguard.train demo'", "cogsguard.train"]),
        (["run=x"], ["no recipe", "run=x"]),
        (["cogsguard.train", "trainer.total_timestep=3"], ["trainer.total_timesteps", WORD]),
        (["cogsguard.train", "learning_rate=3"], ["trainer.optimizer.learning_rate", WORD]),
        (["cogsguard.train", "trainer.optimizer.lr=3"], ["keys of trainer.optimizer", "learning_rate", WORD]),
        (["cogsguard.train", "+trainer.foo=3"], ["trainer.foo", WORD]),
        (["cogsguard.train", "~trainer.foo"], ["trainer.foo", WORD]),
        (["cogsguard.train", "~mission.cog.heart_limit"], ["nothing to delete", WORD]),
        (["cogsguard.train", "trainer={optimizer: {lr: 3}}"], ["trainer.optimizer.lr", WORD]),
        (["cogsguard.train", "trainer={mode: x"], ["cannot read", "quotes and brackets"]),
        (["cogsguard.train", "trainer.optimizer=adam"], ["keys of its own", "type", WORD]),
        (["cogsguard.train", "trainer.total_timesteps=abc"], ["'abc'", "valid integer", WORD]),
        (["cogsguard.train", "trainer.batch_size=100_000"], ["99840 or 100352", WORD]),
        (["cogsguard.train", "agent=lstn"], ["did you mean lstm", WORD]),
        (["cogsguard.train", "agent.name=lstn"], ["did you mean lstm", WORD]),
        (["cogsguard.train", "wandb=never"], ["off, offline, online", WORD]),
        (["cogsguard.train", "mission=cogsguard_arena.basik"], ["cogsguard_arena.basic", WORD]),
        (["cogsguard.train", "mission.variants=[eazy]"], ["did you mean easy", WORD]),
        (["cogsguard.train", "mission.difficulty=hrd"], ["did you mean hard", WORD]),
        (["cogsguard.train", "mission.cog.heart_limt=3"], ["mission.cog.heart_limit", WORD]),
        (["cogsguard.train", "mission.cog.heart_limit=x"], ["mission.cog.heart_limit", WORD]),
        (["cogsguard.train", "teacher.mode=supervisor"], ["teacher.policy_uri is missing", WORD]),
        (["cogsguard.train", "teacher.mode=cloner", "teacher.policy_uri=a"], ["sliced_cloner", WORD]),
        (
            ["cogsguard.train", "teacher={policy_uri: a, teacher_led_proportion: 0.7, student_led_proportion: 0.7}"],
            ["1.4", WORD],
        ),
        (
            ["cogsguard.train", "teacher={policy_uri: a}", "training_env.supervisor_policy_uri=b"],
            ["two teachers", "'training_env.supervisor_policy_uri=b'"],
        ),
        (["cogsguard.train", "training_env.supervisor_policy_uri=b"], ["nothing learns from it", WORD]),
        (
            ["cogsguard.train", "teacher={policy_uri: a, kwargs: {action_los_coef: 2}}"],
            ["teacher.kwargs.action_los_coef", "did you mean action_loss_coef", WORD],
        ),
        (["cogsguard.train", "trainer.dual_policy.enabled=true"], ["checkpoint_path", WORD]),
        (["cogsguard.train", "seed=1,2"], ["-m"]),
        (["cogsguard.train", "agent=lstm,fast"], ["-m"]),
        (["cogsguard.train", "agent=glob(*)"], ["-m"]),
        (["cogsguard.train", "-m", "agent=glob(x*)"], ["'agent=glob(x*)'", "none of", "lstm"]),
        (["cogsguard.train", "-m", "run=glob(x*)"], ["'run=glob(x*)'", "options of a group"]),
        (["cogsguard.train", "-m", "seed=interval(1,9)"], ["'seed=interval(1,9)'", "range"]),
        (["cogsguard.train", "-m", "seed=range(1,9,0)"], ["'seed=range(1,9,0)'"]),
        (["cogsguard.train", "-m", "seed=shuffle(range(0,inf))"], ["more than 10,000"]),
        (["cogsguard.train", "-m", "seed=range(9,9)"], ["no values"]),
        (["cogsguard.train", "-m", "seed=range(200)", "trainer.update_epochs=range(1,200)"], ["39,800 jobs"]),
        (["cogsguard.train", f"{ENT_COEF}={{schedule: liner}}"], [ENT_COEF, "did you mean linear?", WORD]),
        (
            ["cogsguard.train", f"{ENT_COEF}={{schedule: linear, frm: 1, to: 0}}"],
            [ENT_COEF, "did you mean from?", WORD],
        ),
        (["cogsguard.train", f"{ENT_COEF}={{schedule: linear, from: -1, to: 0}}"], [ENT_COEF, "from=-1", WORD]),
        (["cogsguard.train", f"{ENT_COEF}.to=0"], [ENT_COEF, "schedule is missing", WORD]),
        (
            ["cogsguard.train", f'{ENT_COEF}={{schedule: step, from: 1, to: 0, when: "env_agnt/death > 1"}}'],
            [ENT_COEF, "did you mean env_agent", WORD],
        ),
        (["cogsguard.train", "trainer.batch_size={schedule: step}"], ["takes a number only: no schedule", WORD]),
        (
            [
                "cogsguard.train",
                "teacher.policy_uri=a",
                "teacher.student_led_proportion=0.5",
                "teacher.teacher_led_proportion={schedule: linear, from: 0.6, to: 0}",
            ],
            ["is 1.1, more than 1", "from the word 'teacher.teacher_led_proportion="],
        ),
        (["cogsguard.train", "trainer.optimizer.type=muonn"], ["did you mean muon?", WORD]),
        (["cogsguard.train", "run=a/b"], ["letters, digits", WORD]),
        (["cogsguard.train", "wandb.notes=${trainer.none}"], ["trainer.none"]),
        (["cogsguard.tutorial", "role=scoot"], ["did you mean scout", WORD]),
        (["cogsguard.train", "--cgf", "job"], ["--cgf", "command line"]),
        (["cogsguard.train", "--from", "x"], ["takes no recipe"]),
        (["--from", "no/such/run"], ["no/such/run", "config.yaml"]),
    ],
)
def test_bad_words_are_named_in_one_line(argv: list[str], expected: list[str], run: Runner) -> None:
    _refused(run(*argv), expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trainer: {total_timestep: 5}", ["trainer.total_timesteps"]),
        ("trainer: {batch_size: many}", ["'many'"]),
        ("agent: lstn", ["did you mean lstm"]),
        ("mission: aligner_tutoril", ["aligner_tutorial"]),
        ("mission: {variants: [eazy]}", ["did you mean easy"]),
        ("defaults: [/trainer/smal]", ["did you mean small"]),
        ("cmd: trian", ["did you mean train"]),
        ("a: [1\nb: 2", ["cannot read"]),
        ("- 1", ["mine.yaml"]),
        ("cmd: train\nteacher: {policy_uri: class=mine.Teacher}", ["teacher.policy_uri", "imports code"]),
        (
            "trainer: {dual_policy: {scripted_npc: {policy_uri: class=mine.Npc}}}",
            ["scripted_npc.policy_uri=class=mine"],
        ),
        ("trainer: {dual_policy: {checkpoint_npcs: [{path: mine.Npc}]}}", ["checkpoint_npcs=mine.Npc", "imports code"]),
        ("system: {trust_code: true}", ["system.trust_code=true", "imports code"]),
        ("cmd: evaluate\npolicy_uri: mine.Policy", ["policy_uri=mine.Policy", "imports code"]),
    ],
)
def test_a_bad_experiment_file_is_named(text: str, expected: list[str], tmp_path: Path, train: Runner) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    _refused(train(f"+user={file}"), [*expected, "mine.yaml"])


def test_an_unknown_experiment_names_the_nearest(train: Runner) -> None:
    _refused(train("+user=exampl"), ["did you mean example", WORD])


def test_a_bad_saved_tree_is_named(tmp_path: Path, run: Runner) -> None:
    for text in ("cmd: train\ntrainer: {lr: 1}", "cmd: [", "", "cmd: fly"):
        (tmp_path / "config.yaml").write_text(text)
        _refused(run("--from", str(tmp_path)), ["config.yaml"])


def _refused(outcome: Outcome, expected: list[str]) -> None:
    assert outcome.code == 2
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1, outcome.err
    for part in expected:
        assert part in outcome.err
