"""Hydra's own words on a command line: launchers and sweepers by its names, and what is called otherwise here."""

import pytest

from metta.common.errors import UserError
from metta.config.hydra_words import take_hydra_words
from metta.executors.settings import LocalSettings, RaySettings, SlurmSettings


def test_a_launcher_has_the_settings_that_hydras_plugin_has() -> None:
    taken = take_hydra_words(["seed=1", "hydra/launcher=joblib", "+hydra.launcher.n_jobs=2", "agent=lstm"])
    assert (taken.launcher, taken.settings, taken.rest) == ("joblib", LocalSettings(n_jobs=2), ["seed=1", "agent=lstm"])
    words = ["partition=gpu", "timeout_min=60", "additional_parameters={nice: 5}", "mem_gb=8"]
    slurm = take_hydra_words(["hydra/launcher=submitit_slurm", *(f"hydra.launcher.{word}" for word in words)]).settings
    assert slurm == SlurmSettings(partition="gpu", timeout_min=60, additional_parameters={"nice": 5}, mem_gb=8)
    words = ["init.address=auto", "remote.num_gpus=0.5", "remote.resources={box: 1}"]
    ray = take_hydra_words(["hydra/launcher=ray", *(f"hydra.launcher.ray.{word}" for word in words)]).settings
    assert isinstance(ray, RaySettings) and ray.ray.init.address == "auto"
    assert (ray.ray.remote.num_gpus, ray.ray.remote.resources) == (0.5, {"box": 1})


def test_without_a_word_jobs_run_in_this_process() -> None:
    taken = take_hydra_words(["run=a", "hydra.searchpath=[file://b]"])
    assert (taken.launcher, taken.searches, taken.rest) == ("basic", False, ["run=a", "hydra.searchpath=[file://b]"])


def test_the_words_of_a_sweep_and_of_its_folder_are_ours() -> None:
    words = ["hydra/sweeper=metta", "hydra.sweeper.n_trials=4", "hydra.sweeper.budget.hours=2", "hydra.sweep.dir=a/b"]
    taken = take_hydra_words(words)
    assert taken.searches
    assert taken.rest == ["system.data_dir=a/b", "sweep.budget.trials=4", "sweep.budget.hours=2"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("hydra/launcher=slurm", "no hydra/launcher 'slurm' (did you mean submitit_slurm?)"),
        ("hydra.launcher.n_jobs=2", "unknown key 'hydra.launcher.n_jobs' (hydra/launcher=joblib has it)"),
        ("hydra/launcher=joblib hydra.launcher.n_job=2", "(did you mean n_jobs?)"),
        ("hydra/launcher=joblib hydra.launcher.n_jobs=0", "hydra.launcher.n_jobs=0: should be 1 or more"),
        ("hydra/launcher=joblib hydra.launcher.n_jobs=1 hydra.launcher.n_jobs.a=2", "should be a valid integer"),
        ("hydra/launcher=joblib,ray", "take one value"),
        ("hydra/launcher=ray hydra.launcher.ray.remote.num_gpu=1", "(did you mean num_gpus"),
        ("hydra/sweeper=optuna", "hydra/sweeper=metta --sweep NAME runs Optuna"),
        ("hydra.sweeper.n_trials=2", "hydra/sweeper=metta --sweep NAME"),
        ("hydra.run.dir=a", "run=NAME names the run"),
        ("hydra.sweep.dirs=a", "(did you mean hydra.sweep.dir"),
        ("hydra/job_logging=none", "hydra/launcher, hydra.launcher.…, hydra/sweeper and hydra.sweep.dir do"),
        ("~hydra.launcher", "cannot be removed"),
    ],
)
def test_what_means_nothing_here_is_refused_with_the_word_that_does(words: str, says: str) -> None:
    with pytest.raises(UserError) as refused:
        take_hydra_words(words.split())
    assert says in str(refused.value)
