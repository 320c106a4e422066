"""`cogames train` is the training recipe under short flags."""

import shlex
from pathlib import Path

import click
import pytest
import typer
import yaml

from metta.cli.jobs import run_recipe
from metta.config.composition import compose
from metta.config.recipes import resolve
from metta.config.tree import to_yaml
from metta.config.words import parse_word
from metta.policy.stored.uri import list_versions
from metta.rl.settings import RunConfig
from tests.cli.conftest import Cogames


def job(cogames: Cogames, flags: str) -> str:
    """The job that `cogames train` would start."""
    done = cogames("--cfg", "job", "train", "--run", "x", *shlex.split(flags))
    assert done.code == 0, done.err
    return done.out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("", []),
        ("-m cogsguard_arena.basic", ["mission=cogsguard_arena.basic"]),
        ("-m aligner_tutorial -p tutorial", ["mission=aligner_tutorial", "agent=tutorial"]),
        ("-p lstm", ["agent=lstm"]),
        ("-p class=lstm", ["agent=lstm"]),
        ("-p class=metta.policy.nets.lstm.LstmNet", ["agent=lstm"]),
        ("-p class=lstm,kw.hidden_size=64", ["agent=lstm", "agent.hidden_size=64"]),
        ("-p fast,data=./train_dir/old:v5", ["agent=fast", "init_from=./train_dir/old:v5"]),
        (
            "--steps 5000000000 --batch-size 2097152 --minibatch-size 8192",
            ["trainer.total_timesteps=5_000_000_000", "trainer.batch_size=2097152", "trainer.minibatch_size=8192"],
        ),
        (
            "--num-workers 2 --parallel-envs 16 --map-seed 7 --seed 3",
            ["training_env.num_workers=2", "training_env.num_envs=16", "mission.map.seed=7", "seed=3"],
        ),
        ("--vector-batch-size 16", ["training_env.num_envs=16"]),
        ("--device cpu --checkpoints runs", ["device=cpu", "system.data_dir=runs"]),
        ("--log-outputs", ["system.log_outputs=true"]),
        ("--nproc 2", ["system.nproc=2"]),
        (
            "-c 4 -v easy -v forest --difficulty hard",
            ["mission.cogs=4", "mission.variants=[easy,forest]", "mission.difficulty=hard"],
        ),
    ],
)
def test_flags_are_words_of_the_recipe(flags: str, words: list[str], cogames: Cogames):
    recipe = compose(resolve(["cogsguard.train"]), [parse_word(word) for word in ("run=x", *words)])
    assert job(cogames, flags) == to_yaml(recipe.config)


def test_a_run_that_nobody_named_says_the_option_that_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    words = {"agent": "lstm", "agent.hidden_size": 8, "trainer.batch_size": 512, "trainer.bptt_horizon": 8}
    words |= {"trainer.minibatch_size": 512, "training_env.map_pool": 4, "trainer.max_minutes": 1e-9, "device": "cpu"}
    for made_up in (True, False):
        run_recipe(typer.Context(click.Command("train")), "cogsguard.train", words)
        [name] = [path.name for path in Path("train_dir").iterdir()]
        added = f" with --run {name}" if made_up else ""
        assert capsys.readouterr().out.endswith(f"\nthe same command{added} goes on from here\n")
        words["run"] = name
    assert [version.epoch for version in list_versions(Path("train_dir", name))] == [2, 4]


def test_several_missions_are_phases_of_equal_length(cogames: Cogames):
    printed = job(cogames, "-m aligner_tutorial -m 'cogsguard_machina_1.*' --steps 3000000 -v forest")
    runs = RunConfig.model_validate(yaml.safe_load(printed)).phase_runs
    assert [run.run for run in runs] == [
        "x.phase1_aligner_tutorial",
        "x.phase2_cogsguard_machina_1_basic",
        "x.phase3_cogsguard_machina_1_miner_tutorial",
    ]
    assert [run.trainer.total_timesteps for run in runs] == [1_000_000] * 3
    assert all(run.mission.variants == ["forest"] for run in runs)
    assert [run.init_from for run in runs] == [None, runs[0].run, runs[1].run]
