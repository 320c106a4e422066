"""The run-book for a CUDA device, rehearsed without one; and the report of what it left, whatever that is."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_report, gpu_stages
from benchmarks.gpu_results import STAGES, Results, read_results

ROOT = Path(__file__).parents[1]
MOST_FILES = 8  # that come back from the machine, of at most 16 MiB each

STEP = {"stage": "train", "step": "lstm bf16", "ended": "done", "code": 0, "seconds": 3, "limit": 40, "line": 2}
ENV = {
    "benchmark": "env_throughput",
    **{"agent_steps_per_second": 5, "lowest": 4, "highest": 6, "mission": "m", "agents": 8, "envs": 2},
    **{"backend": "cuda", "tokens_per_agent": 1.5, "bytes_per_env": 1024},
}


def book(out: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["benchmarks/gpu.sh", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable, "OUT": str(out), **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


def written(folder: Path, *rows: dict[str, Any] | str) -> Path:
    """A folder with these lines as results."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "results.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert gpu_report.main(list(argv)) == 0
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a rehearsal in which the recorded episodes cannot be read."""
    folder = tmp_path_factory.mktemp("book")
    traces = folder / "traces"
    traces.mkdir()
    (traces / "damaged.npz").write_text("nothing of the kind")
    done = book(folder / "out", "--rehearse", TRACES=str(traces))
    assert done.returncode == 1 and done.stdout.startswith("## On a GPU"), done.stderr
    return folder / "out"


@pytest.fixture
def results(rehearsed: Path) -> Results:
    return read_results(rehearsed)


@pytest.mark.slow
def test_each_stage_of_a_rehearsal_leaves_its_results_also_behind_one_that_fails(results: Results) -> None:
    assert results.book and results.book.rehearsal and results.missing == []
    assert results.facts and not set(results.facts.missing) - {"numba_cuda"}
    assert results.tests and (results.tests.passed, results.tests.failed) == (1, 0)
    assert [row.envs for row in results.env] == [2, 4, 2]
    assert [(row.policy, row.precision) for row in results.train] == [("lstm", "float32"), ("lstm", "bf16")]
    assert results.clone and [point.agent_step for point in results.clone.points] == [256, 512, 768, 1024]
    assert results.clone.points[-1].agreement_student_led is not None
    assert [step.stage for step in results.unplanned()] == ["traces"]


@pytest.mark.slow
def test_work_is_told_as_describe_tells_it(results: Results) -> None:
    for row in results.train:
        assert row.parameters == 226_310
        assert row.trained_flops_per_second == pytest.approx(
            row.agent_steps_per_second * row.trained_flops_per_agent_step, rel=1e-2
        )


@pytest.mark.slow
def test_all_of_it_comes_back_from_the_machine(rehearsed: Path) -> None:
    files = [path for path in rehearsed.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"results.jsonl", "clone.tar.gz", *(f"{name}.log" for name in STAGES)}
    assert len(files) <= MOST_FILES and max(path.stat().st_size for path in files) < 16 << 20


@pytest.mark.slow
def test_the_report_has_every_figure_and_names_what_failed(
    rehearsed: Path, results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    page = shown(capsys, str(rehearsed))
    assert "no figure here is of a device" in page and "0 of 1 equal on cpu" in page
    for row in (*results.env, *results.train):
        assert f"{row.agent_steps_per_second:,} ({row.lowest:,}–{row.highest:,})" in page
    assert "* traces, traces: failed with exit code 1" in page and "`0 of 1 traces equal`" in page
    assert Results.model_validate_json(shown(capsys, str(rehearsed), "--json")) == results


def test_no_step_begins_when_the_time_is_over(tmp_path: Path) -> None:
    done = book(tmp_path, "--rehearse", BUDGET="0")
    assert done.returncode == 1, done.stderr
    results = read_results(tmp_path)
    assert results.missing == list(STAGES)
    assert {step.ended for step in results.steps} == {"not run"}
    assert "* train, lstm bf16: not run, no time was left\n" in done.stdout


def test_a_wrong_word_is_one_line(tmp_path: Path) -> None:
    done = book(tmp_path, "--rehears")
    assert done.returncode == 2 and done.stderr == "error: unknown '--rehears': --rehearse, --prepare or nothing\n"


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_the_script_is_plain_sh() -> None:
    subprocess.run(["shellcheck", "benchmarks/gpu.sh"], cwd=ROOT, check=True)


def test_nothing_is_reported_that_was_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = shown(capsys, str(written(tmp_path)))
    assert "Machine: unknown, the facts are missing." in page
    assert page.count("Nothing was measured: no result of this stage.") == 5
    assert page.count("never ended, the run was cut off") == len(STAGES)


def test_a_failed_step_is_named_with_what_it_said_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.log").write_text("== lstm bf16\nout of | memory\n\n== vit bf16\nlater\n")
    failed = {**STEP, "ended": "failed", "code": 2, "line": 3}
    page = shown(capsys, str(written(tmp_path, failed, {**STEP, "step": "vit bf16", "ended": "out of time"})))
    assert "* train, lstm bf16: failed with exit code 2 after 3 s: `out of / memory`\n" in page
    assert "* train, vit bf16: stopped after its 40 s: `out of / memory`\n" in page


def test_a_clone_ends_as_planned_when_its_time_does(tmp_path: Path) -> None:
    clone = {**STEP, "stage": "clone", "step": "clone", "ended": "out of time", "code": 124}
    assert not list(read_results(written(tmp_path, clone)).unplanned())


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[" * 100_000,
        {**ENV, "agent_steps_per_second": "many"},
        {**ENV, "lowest": 10**400},
        json.dumps({**ENV, "tokens_per_agent": float("nan")}),
        {**ENV, "benchmark": ["env_throughput"]},
        {**ENV, "benchmark": "\x1b[31m"},
        {"benchmark": "gpu_clone", "words": [], "points": []},
        {**STEP, "stage": "../../etc/passwd"},
    ],
    ids=range(9),
)
def test_a_damaged_line_costs_itself_and_one_warning(
    line: dict[str, Any] | str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = read_results(written(tmp_path, ENV, line, ENV))
    warning = capsys.readouterr().err
    assert len(results.env) == 2 and not results.steps and not results.clone
    assert warning.startswith("warning: ") and len(warning.splitlines()) == 1 and warning[:-1].isprintable()


def test_what_strangers_wrote_makes_no_marks_in_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = shown(capsys, str(written(tmp_path, {**ENV, "mission": "a|b\n# <img>`\x1b[2J" + "x" * 5000})))
    (row,) = (line for line in page.splitlines() if "a/b" in line)
    assert row.count("|") == 8 and row.isprintable() and "<" not in row and len(row) < 500


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "large"])
def test_a_folder_without_results_is_one_line(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.jsonl"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(65 << 20)
    assert gpu_report.main([str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and len(said.err.splitlines()) == 1


def test_a_run_without_an_epoch_has_no_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.jsonl").touch()
    for name in ("metrics.jsonl", "gone.jsonl"):
        assert gpu_stages.main(["curve", str(tmp_path / name)]) == 2
        assert "no epoch was finished" in capsys.readouterr().err
