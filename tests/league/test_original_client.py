"""The client of the original, cogames 0.8.1, in a league of ours on each database, from login to leaderboard."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metta.league.seasons import DEFAULT
from tests.league.conftest import BROWSER, Served, bundle

VARIABLE = "METTA_ORIGINAL_PYTHON"  # a Python 3.12 that has it
CHILD = Path(__file__).with_name("original_client.py")
SECONDS = 60
ADDRESSED = {
    "login": ["--login-server", "{}"],
    "auth": ["--server", "{}"],
    "config": ["{}", DEFAULT],
    "others": ["--login-server", "{}", "--server", "{}"],
}
Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def original(served_on: Served, tmp_path: Path) -> Iterator[Typed]:
    """Types a command to the original's client: its exit code and what it prints."""
    python = os.environ.get(VARIABLE)
    if not python or subprocess.run([python, "-c", "import cogames"], capture_output=True, check=False).returncode:
        pytest.skip(f"no Python with cogames 0.8.1 is named by ${VARIABLE}")
    (tmp_path / "bundle.zip").write_bytes(bundle("role"))
    browser = shlex.join([sys.executable, str(BROWSER), "%s", tmp_path.name])
    child = subprocess.Popen(
        [python, str(CHILD)], cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path), "BROWSER": browser},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdin and child.stdout

    def call(*words: str) -> tuple[int, str]:
        """Without an address, as it is written for each command."""
        assert child.stdin and child.stdout
        given = [part.format(served_on.address) for part in ADDRESSED.get(words[0], ADDRESSED["others"])]
        print(json.dumps([*words, *given]), file=child.stdin, flush=True)
        answer = json.loads(child.stdout.readline())
        return answer["code"], answer["out"]

    yield call
    child.stdin.close()
    child.wait(SECONDS)


def test_the_original_client_plays_in_our_league(original: Typed):
    code, said = original("login", "--timeout", str(SECONDS))
    assert code == 0 and "Authentication successful!" in said
    code, said = original("upload", "-p", "./bundle.zip", "-n", "theirs", "--no-submit", "--skip-validation")
    assert code == 0 and "Upload complete: theirs:v1" in said and "cogames submit theirs:v1" in said
    code, said = original("submit", "theirs", "--season", DEFAULT)
    assert code == 0 and f"Submitted to season '{DEFAULT}'" in said and "Added to pools: qualifying" in said
    assert original("submit", "theirs", "--season", DEFAULT)[0] == 0
    code, said = original("submit", "nothing")
    assert code == 1 and "Policy 'nothing' not found." in said
    assert "A few steps." in original("seasons")[1] and "canonical" in original("seasons", DEFAULT, "--versions")[1]
    end = time.monotonic() + SECONDS
    while "theirs:v1" not in (said := original("leaderboard", "--season", DEFAULT)[1]):
        assert time.monotonic() < end
        time.sleep(0.5)
    assert f"Leaderboard: {DEFAULT}" in said
    assert json.loads(original("leaderboard", "--json")[1])[0]["rank"] == 1
    assert "competition (active)" in original("submissions", "--season", DEFAULT)[1]
    assert DEFAULT in original("submissions")[1]


def test_the_original_client_reads_everything_else_that_it_asks_for(original: Typed, served_on: Served, tmp_path: Path):
    assert original("submissions")[1].split() == [
        "Error:",
        "Not",
        "authenticated.",
        "Please",
        "run:",
        "cogames",
        "login",
    ]
    assert original("login")[0] == 0
    code, said = original("auth", "status", "--api-server", served_on.address)
    assert code == 0 and tmp_path.name in said
    token = original("auth", "get-token")[1].strip()
    assert original("auth", "set-token", token)[0] == 0
    assert original("config")[1].endswith("8 agents, 5 steps\n")
    for name in ("ours", "others"):
        assert original("upload", "-p", "./bundle.zip", "-n", name, "--skip-validation", "--season", DEFAULT)[0] == 0
    assert json.loads(original("seasons", "--json")[1])[0]["entry_pool"] == "qualifying"
    assert json.loads(original("seasons", DEFAULT, "--versions", "--json")[1])[0]["canonical"] is True
    [upload] = json.loads(original("submissions", "-p", "ours:v1", "--json")[1])
    assert (upload["name"], upload["version"], upload["user_id"]) == ("ours", 1, tmp_path.name)
    assert "No uploads found matching 'ours:v9'" in original("submissions", "-p", "ours:v9")[1]
    said = original("submissions", "--season", DEFAULT, "-p", "ours")[1]
    assert "ours:v1" in said and "others" not in said and "qualifying (active)" in said
    for words in (("submissions", "--season", "no"), ("leaderboard", "--season", "no")):
        assert original(*words) == (1, "Season 'no' not found\n")
    assert original("submit", "ours", "--season", "no")[0] == 1
    assert original("leaderboard", "--season", f"{DEFAULT}:v1")[0] == 0
