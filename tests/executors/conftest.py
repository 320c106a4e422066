"""Real executors on this machine: a Ray cluster of two nodes, submitit's local queue, a SLURM that stubs play."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from metta.common.settings import Settings
from metta.executors.choice import make_executor
from metta.executors.executor import Executor
from metta.executors.process import Task
from metta.executors.settings import LAUNCHERS

LIMIT = 60.0  # seconds until a test gives up
# Plays sbatch: keeps the script, and runs it as the queue would.
SBATCH = """\
#!/bin/bash
cat "$1" >>{folder}/scripts
export SLURM_JOB_ID=$((4711 + $(wc -l <{folder}/jobs 2>/dev/null || echo 0)))
echo "$SLURM_JOB_ID" >>{folder}/jobs
if [[ ! -e {folder}/full ]]; then setsid bash "$1" &>>{folder}/log & fi
echo "Submitted batch job $SLURM_JOB_ID"
"""
SRUN = """\
#!/bin/bash
while [[ $1 == --* ]]; do
    [[ $1 == --output || $1 == --error ]] && shift
    shift
done
exec "$@"
"""
CALLED = '#!/bin/bash\necho "$(basename "$0") $*" >>{folder}/calls\n'


@pytest.fixture(scope="package")
def ray_cluster() -> Iterator[str]:
    """The address of a cluster of two nodes with one core each."""
    pytest.importorskip("ray", reason="needs the extra 'ray'")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1, num_gpus=0)
        yield cluster.address
    finally:
        cluster.shutdown()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of stubs of SLURM's tools, which comes first on PATH."""
    pytest.importorskip("submitit", reason="needs the extra 'slurm'")
    folder = tmp_path / "slurm"
    folder.mkdir()
    tools = {"sbatch": SBATCH, "srun": SRUN, "scancel": CALLED, "scontrol": CALLED, "sacct": CALLED}
    for name, text in tools.items():
        (folder / name).write_text(text.format(folder=folder) if name != "srun" else text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture(params=["joblib", "submitit_local", "submitit_slurm", "ray"])
def launcher(request: pytest.FixtureRequest) -> Settings:
    """Settings of each executor, which leads to a real one."""
    if request.param == "ray":
        return LAUNCHERS["ray"].model_validate({"ray": {"init": {"address": request.getfixturevalue("ray_cluster")}}})
    if request.param == "submitit_slurm":
        request.getfixturevalue("slurm")
    elif request.param == "submitit_local":
        pytest.importorskip("submitit", reason="needs the extra 'slurm'")
    return LAUNCHERS[request.param]()


@pytest.fixture
def executor(launcher: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Executor:
    """One with two places."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")  # or torch would be asked
    if isinstance(launcher, LAUNCHERS["joblib"]):
        launcher = LAUNCHERS["joblib"](n_jobs=2)
    made, places = make_executor(launcher, 2, tmp_path / "queue", "demo")
    assert places == 2
    return made


Sleeper = Callable[..., Task]


@pytest.fixture
def sleeper(tmp_path: Path) -> Sleeper:
    """A task that waits to be stopped."""

    def make(name: str, seconds: float = LIMIT, code: int = 0) -> Task:
        given = json.dumps({"file": str(tmp_path / name), "seconds": seconds, "code": code})
        return Task(name=name, module="tests.executors.sleeper", given=given, output=tmp_path / f"{name}.log")

    return make


def until(true: Callable[[], object], what: str) -> None:
    """Wait for it."""
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline, f"not within {LIMIT} s: {what}"
        time.sleep(0.05)


def begun(folder: Path, *names: str) -> list[dict] | None:
    """What the sleepers of these names tell, once all have begun."""
    paths = [folder / name for name in names]
    if not all(path.exists() and path.read_text() for path in paths):
        return None
    return [json.loads(path.read_text()) for path in paths]


def gone(process: int) -> bool:
    return not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE
