"""What every executor does alike: as many at a time as it has places, exit codes as they are, no orphans."""

import os
import signal
import threading
from pathlib import Path

import pytest

from metta.common.errors import UserError
from metta.executors.choice import make_executor
from metta.executors.executor import Executor, run_tasks
from metta.executors.settings import LAUNCHERS
from tests.executors.conftest import Sleeper, begun, gone, until


def test_tasks_end_with_their_own_exit_codes_and_one_is_started_again(
    executor: Executor, sleeper: Sleeper, tmp_path: Path
) -> None:
    tasks, ended = [sleeper(name, seconds=0, code=code) for name, code in (("a", 0), ("b", 3), ("c", 5))], []

    def again(number: int, code: int) -> bool:
        ended.append((number, code))
        return ended.count((1, 3)) == 1 and number == 1

    assert not run_tasks(executor, tasks, 2, again)
    assert sorted(ended) == [(0, 0), (1, 3), (1, 3), (2, 5)]
    assert (tmp_path / "b.log").read_text() == "begun\n" * 2


def test_a_signal_stops_those_that_run_and_no_other_starts(
    executor: Executor, sleeper: Sleeper, tmp_path: Path
) -> None:
    ended: dict[int, int] = {}

    def stop() -> None:
        until(lambda: begun(tmp_path, "a", "b"), "both run")
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    assert run_tasks(
        executor, [sleeper(name) for name in "abc"], 2, lambda number, code: bool(ended.update({number: code}))
    )
    thread.join()
    assert ended == {0: 7, 1: 7}
    assert [(tmp_path / f"{name}.stopped").read_text() for name in "ab"] == [str(int(signal.SIGTERM))] * 2
    assert not (tmp_path / "c").exists()


def test_one_that_is_killed_says_so_and_what_is_left_ends_with_the_executor(
    executor: Executor, sleeper: Sleeper, tmp_path: Path
) -> None:
    with executor:
        killed, _ = executor.start(sleeper("a"), 0), executor.start(sleeper("b"), 1)
        until(lambda: begun(tmp_path, "a", "b"), "both run")
        processes = [told["process"] for told in begun(tmp_path, "a", "b") or []]
        os.kill(processes[0], signal.SIGKILL)
        until(lambda: killed.poll() is not None, "it is told")
        assert killed.poll() == -signal.SIGKILL
    until(lambda: gone(processes[1]), "the other has ended")


def test_local_processes_share_the_cores_and_gpus(
    monkeypatch: pytest.MonkeyPatch, sleeper: Sleeper, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    mine = os.sched_getaffinity(0)
    executor, _ = make_executor(LAUNCHERS["joblib"](n_jobs=2), 2, tmp_path, "demo")
    run_tasks(executor, [sleeper(name, seconds=0.2) for name in "ab"], 2, lambda number, code: False)
    told = begun(tmp_path, "a", "b") or []
    assert sorted(one["gpus"] for one in told) == ["4,6", "5"]
    assert os.sched_getaffinity(0) == mine
    cores = [set(one["cores"]) for one in told]
    assert set.union(*cores) == mine and (len(mine) == 1 or not cores[0] & cores[1])


def test_tasks_on_ray_go_to_the_nodes_that_have_what_they_need(
    ray_cluster: str, sleeper: Sleeper, tmp_path: Path
) -> None:
    settings = {"ray": {"init": {"address": ray_cluster}, "remote": {"num_cpus": 1}}}
    executor, _ = make_executor(LAUNCHERS["ray"].model_validate(settings), 2, tmp_path, "demo")
    with executor:
        running = [executor.start(sleeper(name, seconds=0.5), place) for place, name in enumerate("abc")]
        until(lambda: begun(tmp_path, "a", "b") and None not in [one.poll() for one in running[:2]], "two run")
        until(lambda: running[2].poll() == 0, "the third runs after them")
    settings["ray"]["remote"] = {"num_gpus": 1}
    with pytest.raises(UserError, match="no node of the Ray cluster has 1 CPU, 1 GPU for a process"):
        make_executor(LAUNCHERS["ray"].model_validate(settings), 2, tmp_path, "demo")


def test_a_ray_cluster_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra 'ray'")
    settings = LAUNCHERS["ray"].model_validate({"ray": {"init": {"address": "127.0.0.1:1"}}})
    with pytest.raises(UserError, match=r"no Ray cluster at 127\.0\.0\.1:1: "):
        make_executor(settings, 2, tmp_path, "demo")


def test_slurm_gets_a_script_with_what_hydras_words_say(slurm: Path, sleeper: Sleeper, tmp_path: Path) -> None:
    given = {"partition": "gpu", "gpus_per_node": 2, "mem_gb": 8, "timeout_min": 90, "setup": ["module load cuda"]}
    more = {"additional_parameters": {"nice": 5}, "signal_delay_s": 60, "account": "us"}
    settings = LAUNCHERS["submitit_slurm"].model_validate(given | more)
    executor, _ = make_executor(settings, 2, tmp_path / "queue", "demo")
    assert not run_tasks(executor, [sleeper("a", seconds=0)], 1, lambda number, code: False)
    script = (slurm / "scripts").read_text()
    directives = {line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")}
    wanted = {"partition=gpu", "gpus-per-node=2", "mem=8GB", "time=90", "nice=5", "account=us", "job-name=demo"}
    assert directives >= {*wanted, "signal=USR2@60"}
    assert "module load cuda" in script


def test_a_job_that_waits_in_the_queue_is_taken_out_and_never_begins(
    slurm: Path, sleeper: Sleeper, tmp_path: Path
) -> None:
    (slurm / "full").touch()
    executor, _ = make_executor(LAUNCHERS["submitit_slurm"](), 2, tmp_path / "queue", "demo")
    with executor:
        waiting = executor.start(sleeper("a"), 0)
        assert waiting.poll() is None
        waiting.stop(signal.SIGTERM)
        assert "scancel --state=PENDING 4711" in (slurm / "calls").read_text()
        until(lambda: waiting.poll() is not None, "it counts as ended")


def test_without_a_queue_there_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="needs the extra 'slurm'")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(UserError, match="srun is not installed here"):
        make_executor(LAUNCHERS["submitit_slurm"](), 2, tmp_path, "demo")


@pytest.mark.parametrize(("name", "library", "extra"), [("ray", "ray", "ray"), ("submitit_local", "submitit", "slurm")])
def test_a_library_that_is_missing_is_named_with_the_extra_that_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, library: str, extra: str
) -> None:
    for module in (f"metta.executors.on_{library}",):
        monkeypatch.delitem(__import__("sys").modules, module, raising=False)
    monkeypatch.setitem(__import__("sys").modules, library, None)
    with pytest.raises(UserError, match=rf"{library} is not installed: pip install 'metta\[{extra}\]'"):
        make_executor(LAUNCHERS[name](), 2, tmp_path, "demo")
