"""A training on a machine that ssh reaches: launched, watched, cut off, attached to, stopped, gone on with."""

import json
import os
import select
import sys
from pathlib import Path

import pytest

from metta.launch.command import main
from tests.launch.conftest import ROOT, Box, in_terminal, until

RECIPE = "recipes.experiment.cogsguard.train"
WORDS = [
    *("env=gymnasium", "env.name=CartPole-v1", "agent=mlp", "agent.hidden_size=8", "trainer=classic", "device=cpu"),
    *("trainer.total_timesteps=1_000_000_000", "checkpointer.epoch_interval=5", "checkpointer.keep_last=2"),
    *("evaluator.epoch_interval=0", "system.threads=1"),
]
LAUNCH = [str(ROOT / "tools/launch.py")]
pytestmark = pytest.mark.slow


@pytest.fixture
def told(box: Box, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Run tools/launch.py in this process, with records in a folder of the test; gives exit code and what it said."""

    def run(*words: str) -> tuple[int, str]:
        code = main([*words, "--data-dir", str(tmp_path)])
        said = capfd.readouterr()
        return code, said.out + said.err

    return run


def epochs(box: Box, run: str) -> int:
    path = box.data / run / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.is_file() else 0


def starts(box: Box, run: str) -> list[dict]:
    path = box.data / run / "starts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def shows(command: list[str], text: bytes) -> None:
    """A command in a terminal shows a text; then its connection is killed."""
    process, terminal = in_terminal(*command)
    seen = b""

    def came() -> bool:
        nonlocal seen
        if select.select([terminal], [], [], 0)[0]:
            seen += os.read(terminal, 1 << 16)
        return text in seen

    try:
        until(came, f"{text!r} is shown")
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        os.close(terminal)


def test_a_run_outlives_its_connections_stops_when_asked_and_goes_on_by_the_same_command(
    box: Box, told, tmp_path: Path
) -> None:
    launch = [str(box.target), RECIPE, "run=far.1", *WORDS, "--dirty"]
    code, said = told(*launch)
    assert code == 0, said
    assert "run=far.1 launched" in said
    until(lambda: epochs(box, "far.1") > 5, "epochs come")
    records = ["far.1", "--data-dir", str(tmp_path)]
    shows([sys.executable, *LAUNCH, "logs", "-f", *records], b"epoch")
    before = epochs(box, "far.1")
    shows([sys.executable, *LAUNCH, "attach", *records], b"[metta-far")
    until(lambda: epochs(box, "far.1") > before, "the run goes on without a connection")
    code, said = told("status", "far.1")
    assert code == 0 and said.startswith("boxed: running for ") and " agent-steps, says: " in said

    code, said = told(*launch)
    assert (code, said.splitlines()[-1]) == (
        2,
        "error: run=far.1 goes on already on boxed; stop it, or name another run",
    )

    assert told("stop", "far.1") == (0, "run=far.1 saves and stops\n")
    until(lambda: not box.sessions(), "the session ends")
    assert told("status", "far.1")[1].startswith("boxed: stopped, ")
    assert len(starts(box, "far.1")) == 1

    assert told(*launch)[0] == 0
    until(lambda: len(starts(box, "far.1")) == 2, "the run goes on")
    first, second = starts(box, "far.1")
    assert first["epoch"] == 0 and second["epoch"] > 5
    sent = [json.loads(path.read_text()) for path in tmp_path.glob("far.1/launch/sent.json")]
    assert [second["commit"]] == [one["commit"] for one in sent] and second["dirty"] is False
    told("stop", "far.1")
    until(lambda: not box.sessions(), "the session ends")


def test_a_host_that_does_not_answer_is_named_in_a_line(box: Box, told) -> None:
    code, said = told(str(box.target), RECIPE, "run=lost", *WORDS, "--dirty", "launch.hosts=[gone]")
    assert code == 2 and said.splitlines()[-1].startswith("error: gone: ssh to ") and "Connection refused" in said
    code, said = told(str(box.target), RECIPE, "run=lost", *WORDS, "--dirty", "launch.hosts=[mute]")
    assert code == 2 and said.splitlines()[-1].startswith("error: mute: ssh to ") and "timed out" in said
    code, said = told(str(box.target), RECIPE, "run=lost", *WORDS, "--dirty", "launch.hosts=[bix]")
    assert code == 2 and "no host 'bix' (did you mean box?)" in said


def test_what_is_not_installed_there_is_named_before_anything_starts(box: Box, told) -> None:
    code, said = told(str(box.target), RECIPE, "run=bare", *WORDS, "--dirty", "launch.python=/no/python")
    assert (code, said.splitlines()[-1]) == (2, "error: /no/python: not installed on boxed")
    assert not (box.data / "bare").exists()
