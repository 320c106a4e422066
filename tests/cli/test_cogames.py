"""The `cogames` command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COGAMES = Path(sys.executable).parent / "cogames"


def call(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COGAMES, *words], cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("version",), "0."),
        (("missions",), "cogsguard_arena.aligner_tutorial"),
        (("variants",), "dark_side"),
        (("missions", "cogsguard_machina_1"), "cogsguard_machina_1.miner_tutorial"),
        (("policies",), "random"),
        ((), "scrimmage"),
        (("--dry-run", "train", "--steps", "100", "-c", "4", "-v", "easy", "-v", "forest"), "100 agent-steps"),
        (("play", "-m", "scout_tutorial", "-p", "class=random", "-r", "log", "-s", "20"), "step 20/20"),
    ],
)
def test_commands_print_what_they_say(tmp_path: Path, words: tuple[str, ...], expected: str):
    done = call(*words, folder=tmp_path)
    assert done.returncode == 0 and expected in done.stdout, done.stderr


def test_train_then_scrimmage_the_checkpoint(tmp_path: Path):
    small = ("--steps", "4096", "--batch-size", "2048", "--minibatch-size", "1024", "--device", "cpu", "--run", "mine")
    trained = call("train", "-m", "aligner_tutorial", "-p", "lstm", *small, folder=tmp_path)
    assert trained.returncode == 0, trained.stderr
    done = call(
        "scrimmage", "-m", "aligner_tutorial", "-p", "./train_dir/mine:v2", "-e", "2", "-s", "50", "--format", "json",
        folder=tmp_path,
    )  # fmt: skip
    assert len(json.loads(done.stdout)["metrics"]["reward"]["per_episode"]) == 2, done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("scrimmage", "-m", "cogsguard_arena.basik"), "cogsguard_arena.basic"),
        (("play", "-v", "dark_sid"), "dark_side"),
        (("--dry-run", "play", "-c", "0"), "mission.cogs=0"),
        (("missions", "arena"), "cogsguard_arena"),
        (("scrimage",), "scrimmage"),
        (("play", "-s", "many"), "'--steps'"),
        (("train", "-p", "lstn"), "lstm"),
    ],
)
def test_a_wrong_word_gets_one_line_and_exit_2(tmp_path: Path, words: tuple[str, ...], expected: str):
    done = call(*words, folder=tmp_path)
    assert done.returncode == 2 and expected in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ")
