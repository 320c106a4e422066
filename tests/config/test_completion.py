"""What a shell offers for a word that has been begun, asked for as bash, zsh and fish ask."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metta.config.shells import completed
from tests.config.conftest import Outcome

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60  # until a shell has answered, on a busy machine
TRAIN = "./tools/run.py cogsguard.train"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tools/run.py cogsguard.tr", ["cogsguard.train"]),
        ("tools/run.py recipes.experiment.cogsguard.tr", ["recipes.experiment.cogsguard.train"]),
        ("tools/run.py cogsguard.tutorial ro", ["role="]),
        ("tools/run.py tutorial cogsguard role=s", ["role=scout", "role=scrambler"]),
        (f"{TRAIN} trainer.opt", ["trainer.optimizer."]),
        (f"{TRAIN} trainer.optimizer.learning", ["trainer.optimizer.learning_rate="]),
        (f"{TRAIN} +trainer.losses.ppo_a", ["+trainer.losses.ppo_actor."]),
        (f"{TRAIN} mission.cog.heart_l", ["mission.cog.heart_limit="]),
        (f"{TRAIN} agent=l", ["agent=lstm"]),
        (f"{TRAIN} agent", ["agent.", "agent="]),
        (f"{TRAIN} sim@evals=ho", ["sim@evals=holdouts"]),
        (f"{TRAIN} mission=cogsguard_arena.b", ["mission=cogsguard_arena.basic"]),
        (f"{TRAIN} wandb.mode=o", ["wandb.mode=off", "wandb.mode=offline", "wandb.mode=online"]),
        (f"{TRAIN} trainer.compile=", ["trainer.compile=false", "trainer.compile=true"]),
        (f"{TRAIN} seed=", ["seed=42"]),
        (f"{TRAIN} teacher.policy_uri=mi", ["teacher.policy_uri=miner"]),
        (f"{TRAIN} hydra/launcher=submitit_s", ["hydra/launcher=submitit_slurm"]),
        (f"{TRAIN} --multi", ["--multirun"]),
        (f"{TRAIN} --info defaults-", ["defaults-tree"]),
        (f"{TRAIN} --sweep cart", ["cartpole"]),
        (f"{TRAIN} --config-n", []),
        ("python tools/train.py +us", ["+user="]),
        ("python tools/train.py +user=exa", ["+user=example"]),
        ("python tools/train.py experiment=exa", ["experiment=example"]),
        ("python tools/train.py cogsg", []),
        ("tools/run.py cogsguard.evaluate epis", ["episodes="]),
        ("tools/run.py cogsguard.evaluate trainer.", []),
        (f"{TRAIN} wandb.notes='two words' agent=l", ["agent=lstm"]),
        (f"{TRAIN} wandb.notes='still ope", []),
        (f"{TRAIN} nothing.like.it", []),
    ],
)
def test_a_word_that_was_begun_is_completed(line: str, words: list[str]) -> None:
    assert completed(line) == words


def test_names_of_the_working_folder_are_offered(here: Path) -> None:
    for path in ("train_dir/mine/config.yaml", "conf/agent/huge.yaml", "conf/user/best.yaml", "m.yaml"):
        (here / path).parent.mkdir(parents=True, exist_ok=True)
        (here / path).write_text("")
    assert completed("run.py --from ") == ["train_dir/mine"]
    assert "policy_uri=mine:latest" in completed("run.py cogsguard.play policy_uri=m")
    assert completed(f"{TRAIN} --config-dir conf agent=h") == ["agent=huge"]
    assert completed(f"{TRAIN} 'hydra.searchpath=[conf]' user=b") == ["user=best"]
    assert completed(f"{TRAIN} --config-dir ") == ["conf/", "train_dir/"]
    assert completed(f"{TRAIN} mission=./") == ["mission=./conf/", "mission=./m.yaml", "mission=./train_dir/"]


def test_completing_imports_neither_torch_nor_the_engine() -> None:
    code = (
        "import sys; from metta.config.shells import completed; print(completed('run.py cogsguard.play policy_uri='))"
    )
    command = f"{code}; print({{'torch', 'numba'}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("asked", ["zsh", "install=zsh", "uninstall=zsh"])
def test_one_command_prints_what_a_shell_needs(asked: str, run: Callable[..., Outcome]) -> None:
    outcome = run("-sc", asked)
    assert outcome.code == 0 and ("compdef -d run.py" if "un" in asked else "compdef _metta_complete") in outcome.out


def test_an_unknown_shell_is_refused(run: Callable[..., Outcome]) -> None:
    for words in (["--shell-completion", "fisch"], ["-sc"]):
        outcome = run(*words)
        assert outcome.code == 2 and "bash|zsh|fish" in outcome.err


INTERACTIVE = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}
SOURCED = {
    "bash": "bind 'set enable-bracketed-paste off'; source metta/config/shells/complete.bash",
    "zsh": "autoload -Uz compinit; compinit -u -D; source metta/config/shells/complete.zsh",
}


@pytest.mark.parametrize("shell", INTERACTIVE)
def test_a_tab_completes_in_a_shell_that_somebody_types_in(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    with Terminal(INTERACTIVE[shell]) as terminal:
        terminal.send(f"cd {ROOT}; {SOURCED[shell]}; echo rea''dy\n", "ready\r\n")
        terminal.send("./tools/run.py cogsguard.train agent=ls\t", "agent=lstm ")
        terminal.send("\x15python tools/train.py +us\t", "+user=")
        terminal.send("exa\t", "mple ")


def test_fish_completes() -> None:
    if shutil.which("fish") is None:
        pytest.skip("needs fish")
    asked = "source metta/config/shells/complete.fish; for line in $argv; complete -C $line; end"
    lines = ["./tools/run.py cogsguard.train agent=l", "python tools/train.py +user=exa", "python too"]
    done = subprocess.run(
        ["fish", "--no-config", "-c", asked, *lines], cwd=ROOT, env=_environment(), capture_output=True, text=True
    )
    assert done.stdout.split() == ["agent=lstm", "+user=example", "tools/"], done.stderr


def _environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "TERM": "dumb", "PS1": "> "}


class Terminal:
    """A program with a terminal in front of it."""

    def __init__(self, command: list[str]) -> None:
        ours, theirs = pty.openpty()
        self.shell = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=_environment(), start_new_session=True
        )
        os.close(theirs)
        self.terminal = ours

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.shell.kill()
        self.shell.wait()
        os.close(self.terminal)

    def send(self, keys: str, expected: str) -> None:
        """Type keys and wait until the screen shows a text."""
        os.write(self.terminal, keys.encode())
        shown, end = "", time.monotonic() + SECONDS
        while expected not in shown:
            assert time.monotonic() < end, shown
            if select.select([self.terminal], [], [], 1)[0]:
                shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x07", "", shown + os.read(self.terminal, 4096).decode())
