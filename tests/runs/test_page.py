"""The commands of docs/runs.md do what they say, as they stand there."""

import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metta.runs.run import STATES
from tests.runs.conftest import ROOT, Outcome, line, tree
from tests.wandb_server import WandbServer

PAGE = (ROOT / "docs" / "runs.md").read_text()
COMMANDS = [text for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for text in block.splitlines()]


@pytest.fixture
def world(server: WandbServer, make_run: Callable[..., Path]) -> None:
    """What the page names: runs here and runs of the last days at W&B."""
    for index, name in enumerate(("demo", "better", "anna.1", "anna.2", "test.1")):
        hearts = {"env_agent__heart_0gained": float(index), "overview__reward": index / 2, "losses__entropy": 1.0}
        rows = [line(epoch, **hearts) for epoch in (1, 2, 3)]
        make_run(name, tree(x=index), rows, checkpoints=5)
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        server.add_run(name, tree(x=index), rows, createdAt=now, tags=["arena"])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_succeeds(world: None, tool: Callable[..., Outcome], command: str) -> None:
    name, words = re.fullmatch(r"(?:python |\./)tools/(\w+)\.py(.*)", command).groups()  # pyright: ignore
    done = tool(name, *shlex.split(words))
    assert (done.code, done.err) == (0, "")
    assert done.out or "--output" in command


def test_the_page_names_every_command_state_and_flag(
    tool: Callable[..., Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    local_states = set(STATES) - {"failed", "killed"}  # those two are W&B's own
    assert [name for name in (*local_states, "list", "compare", "plot", "prune") if f"`{name}`" not in PAGE] == []
    tools = ("runs list", "runs compare", "runs plot", "runs prune", "list_wandb_runs", "analyze_wandb_runs")
    for words in map(str.split, tools):
        with pytest.raises(SystemExit):
            tool(*words, "--help")
        flags = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
        assert [flag for flag in sorted(flags) if flag not in PAGE] == [], words
