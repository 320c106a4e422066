"""Sweep files and words: what they mean, and what is refused before anything starts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metta.config import runner
from metta.config.files import options
from metta.config.words import parse_word
from metta.runs.objective import Objective
from metta.sweep.settings import Budget, Parameter, Rungs, SweepSettings, read_sweep

ROOT = Path(__file__).parents[2]

RANGE = "parameters:\n  trainer.optimizer.learning_rate: {log: [0.0001, 0.01]}\n"
BUDGET = "budget: {trials: 4}\n"
RECIPE = "cogsguard.tutorial"


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """A dry run of a sweep file with this text and these words."""
    monkeypatch.chdir(tmp_path)

    def run(text: str, *words: str, recipe: str = RECIPE) -> Outcome:
        (tmp_path / "mine.yaml").write_text(text)
        code = runner.run([recipe, "--sweep", "mine.yaml", "--dry-run", *words])
        return Outcome(code, *capsys.readouterr())

    return run


def test_a_dry_run_says_what_the_sweep_is(sweep: Callable[..., Outcome], tmp_path: Path) -> None:
    done = sweep(RANGE + BUDGET)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("sweep mine: search over 1 settings by overview/reward, 4 trials; 1 worker")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.yaml"]


@pytest.mark.parametrize("name", options("sweep"))
def test_the_sweeps_of_this_package_can_be_read(name: str) -> None:
    assert read_sweep(name, [])[0].parameters


def test_words_change_a_sweep_file() -> None:
    words = ["sweep.budget.trials=3", "sweep.parameters.trainer.update_epochs={int: [1, 2]}", "sweep.workers=2"]
    sweep, _ = read_sweep("cartpole", [parse_word(word) for word in words])
    assert (sweep.budget.trials, sweep.workers) == (3, 2)
    assert sweep.parameters["trainer.update_epochs"].whole == (1, 2)


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        ("parameters:\n  trainer.optimizer.learning_rat: {log: [0.001, 0.1]}\n" + BUDGET, [],
         "unknown key 'trainer.optimizer.learning_rat' (did you mean"),
        ("parameters:\n  trainer.update_epochs: {int: [4, 1]}\n" + BUDGET, [], "int=[4, 1] is upside down"),
        ("parameters:\n  trainer.update_epochs: {int: [0, 4]}\n" + BUDGET, [], "trainer.update_epochs=0: should be"),
        ("parameters:\n  trainer.update_epochs: {int: [1, 4], log: [1, 2]}\n" + BUDGET, [], "takes one of log"),
        ("parameters:\n  agent: {choice: [small, lsmt]}\n" + BUDGET, [], "no agent 'lsmt' (did you mean lstm"),
        ("parameters:\n  trainer.update_epochs: {integer: [1, 4]}\n" + BUDGET, [],
         "'mine.yaml:parameters.trainer.update_epochs.integer'"),
        ("version: 2\n" + RANGE + BUDGET, [], "version=2 of a sweep file; this package reads version 1"),
        (RANGE, [], "budget: says no end; one of trials"),
        (RANGE + BUDGET + "budgte: 3\n", [], "(did you mean budget"),
        (RANGE + BUDGET, ["sweep.budgte.trials=3"], "unknown key 'sweep.budgte.trials'"),
        (RANGE + BUDGET, ["trainer.optimizer.learning_rate=0.1"], "is varied by"),
        (RANGE + BUDGET, ["sweep.storage=sqlite:///a"], "should be postgresql+psycopg://"),
        (RANGE + BUDGET, ["sweep.seeds=2", "sweep.mode=asha"], "so each has one seed"),
        (RANGE + "budget: {money: 5}\n", [], "METTA_HOURLY_COST"),
        ("settings: {trainer.batch_sise: 4}\n" + RANGE + BUDGET, [], "unknown key 'trainer.batch_sise' (did you mean"),
        ("settings: {env: gymnasium, env.name: 'os:getcwd'}\n" + RANGE + BUDGET, [], "on the command line to allow"),
        ("parameters:\n  trainer.update_epochs: {int: [1, 4], when: {agent: small}}\n" + BUDGET, [], "is no other"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(
    sweep: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, text: str, words: list[str], says: str
) -> None:
    monkeypatch.delenv("METTA_HOURLY_COST", raising=False)
    done = sweep(text, *words)
    assert done.code == 2 and done.err.count("\n") == 1, done.err
    assert says in done.err


def test_a_sweep_needs_a_job_that_trains(sweep: Callable[..., Outcome]) -> None:
    done = sweep(RANGE + BUDGET, recipe="cogsguard.evaluate")
    assert done.code == 2 and done.err.count("\n") == 1


def test_a_name_that_is_none_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.run([RECIPE, "--sweep", "cartpol"]) == 2
    assert "no such sweep (did you mean cartpole?)" in capsys.readouterr().err


def test_a_storage_that_is_down_is_one_line_without_its_password(
    sweep: Callable[..., Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    (Path.cwd() / "mine.yaml").write_text(RANGE + BUDGET)
    down = "sweep.storage=postgresql+psycopg://anna:secret@127.0.0.1:1/x"
    assert runner.run([RECIPE, "--sweep", "mine.yaml", down]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: sweep.storage=postgresql+psycopg://anna:***@127.0.0.1:1/x")
    assert said.count("\n") == 1 and "secret" not in said


def test_parameters_that_depend_on_each_other_in_a_circle_are_refused() -> None:
    one = {"choice": [1, 2]}
    parameters = {"a": one | {"when": {"b": 1}}, "b": one | {"when": {"a": 1}}}
    with pytest.raises(ValueError, match="in a circle"):
        SweepSettings.model_validate({"parameters": parameters, "budget": {"trials": 1}})


def test_the_page_of_sweeps_names_every_key_and_its_example_can_be_run(sweep: Callable[..., Outcome]) -> None:
    page = (ROOT / "docs/sweeps.md").read_text()
    for model in (SweepSettings, Budget, Objective, Rungs):
        assert [name for name in model.model_fields if f"{name}" not in page] == []
    done = sweep(page.partition("```yaml\n")[2].partition("```")[0])
    assert done.code == 0, done.err


@given(st.floats(1e-6, 1e3), st.floats(1.001, 1e3), st.integers(2, 20), st.sampled_from(["log", "uniform"]))
def test_a_grid_runs_from_end_to_end_of_a_range(low: float, factor: float, points: int, kind: str) -> None:
    parameter = Parameter.model_validate({kind: [low, low * factor], "points": points})
    values = [float(value) for value in parameter.grid if isinstance(value, float)]
    assert len(values) == points and values == sorted(values)
    assert (values[0], values[-1]) == pytest.approx(parameter.ends)
    places = [parameter.place(value) for value in values]
    assert places == pytest.approx([k / (points - 1) for k in range(points)], abs=1e-6)
