"""What docs/league.md and the guide tell to type, typed to a league that is served, from login to leaderboard."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metta.common.processes import child_environment
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.league.seasons import DEFAULT
from metta.policy.hosted.templates import make_policy_template
from metta.policy.stored.bundle import save_bundle
from tests.cli.conftest import Cogames, cogames
from tests.league.conftest import BROWSER, Served
from tests.nets import build_net

__all__ = ["cogames"]
PAGE = Path(__file__).parents[2] / "docs" / "league.md"
SECONDS = 60


def commands() -> list[str]:
    """The commands under "Taking part"."""
    part = PAGE.read_text().split("## Taking part")[1].split("```bash\n")[1].split("```")[0]
    return [line for line in part.splitlines() if not line.startswith("#")]


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a token, and a working folder with policies."""
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    net = build_net("lstm", {"hidden_size": 8}, env_info(Mission()))
    save_bundle(tmp_path / "train_dir/my_run/checkpoints/my_run:v1", net, "my_run", 1, 1000)
    make_policy_template("scripted", tmp_path / "my_module.py")
    (tmp_path / "extra_data").mkdir()
    (tmp_path / "extra_data/notes.txt").write_text("kept")
    return tmp_path


def log_in(server: str, folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """`cogames login`, with a browser that makes an account."""
    browser = shlex.join([sys.executable, str(BROWSER), "%s", name])
    command = [sys.executable, "-m", "metta.cli.cogames", "login", "--server", server, "--timeout", str(SECONDS)]
    environment = {**child_environment(), "BROWSER": browser}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=2 * SECONDS)


def until(done: Callable[[], bool]) -> None:
    """Wait for what a worker does."""
    end = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_the_guide_as_it_stands(served_on: Served, person: Path, cogames: Cogames):
    printed: dict[str, str] = {}
    for command in commands():
        words = shlex.split(command)[1:]
        if words == ["login"]:
            done = log_in(served_on.address, person, "guide")
            assert done.returncode == 0 and "Authentication successful: guide" in done.stdout, done.stderr
            continue
        printed[command] = (done := cogames(*words, "--server", served_on.address)).out
        assert done.code == 0, f"{command}: {done.err}"
    assert (
        "Upload complete: my-policy:v3" in printed["cogames upload -p ./train_dir/my_run -n my-policy -f ./extra_data/"]
    )
    assert "Policy already submitted" in printed[f"cogames submit my-policy:v3 --season {DEFAULT}"]

    def ranked() -> bool:
        lines = cogames("leaderboard", "--season", DEFAULT, "--json", "--server", served_on.address).document
        mine = [line for line in lines if line["user"] == "guide"]
        return {line["policy"]["version"] for line in mine} == {1, 2, 3} and all(line["matches"] > 3 for line in mine)

    until(ranked)
    shown = cogames("submissions", "--server", served_on.address).out
    assert all(f"my-policy:v{number}" in shown for number in (1, 2, 3)) and "refused" not in shown
    assert "competition (active)" in cogames("submissions", "--season", DEFAULT, "--server", served_on.address).out
    until(lambda: cogames("league", "recompute", "--season", DEFAULT, "--server", served_on.address).code == 0)
    [match] = cogames("matches", "-p", "my-policy:v1", "--limit", "1", "--json", "--server", served_on.address).document
    if all(player["policy"]["name"] == "my-policy" for player in match["players"]):
        done = cogames("league", "verify", match["id"], "--trust-code", "--server", served_on.address)
        assert done.code == 0 and "the same result" in done.out, done.err
    done = cogames("league", "verify", match["id"], "--replays", "--server", served_on.address)
    assert done.code == 0 and "the same result" in done.out, done.err
    assert json.loads(cogames("seasons", "--json", "--server", served_on.address).out)[0]["name"] == DEFAULT
    assert (person / "home/.metta/cogames.yaml").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("words", ["submissions", "submit my-policy", "upload -p role -n x", "auth status"])
def test_who_is_logged_out_is_told_so(words: str, served: Served, person: Path, cogames: Cogames):
    done = cogames(*words.split(), "--server", served.address)
    assert (done.code, done.err) == (1, "error: Not authenticated. Please run: cogames login\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["leaderboard", "--season", "beta"], "Season 'beta' not found (did you mean beta-cogsguard?)"),
        (["seasons", "nothing"], "Season 'nothing' not found"),
        (["matches", "no-id"], "match_id='no-id'"),
        (["leaderboard", "--server", "http://127.0.0.1:9"], "does not answer"),
    ],
)
def test_what_the_server_refuses_is_one_line_and_exit_1(
    words: list[str], expected: str, served: Served, person: Path, cogames: Cogames
):
    done = cogames(*words, *([] if "--server" in words else ["--server", served.address]))
    assert done.code == 1 and expected in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["upload", "-p", "role", "-n", "a:b"], "without ':'"),
        (["submit", "my-policy:best"], "NAME:v3"),
        (["seasons", "--versions"], "cogames seasons NAME --versions"),
        (["leaderboard", "--server", "nowhere"], "http://HOST:PORT"),
        (["league", "worker"], "--token-file"),
        (["league", "user", "add", "anna", "--data", "nothing"], "there is no league"),
        (["league", "serve", "--registration", "sometimes"], "registration='sometimes'"),
        (["league", "serve", "--address", "league.example"], "address='league.example': an address is http"),
        (["league", "serve", "--files", "gs://bucket/league"], "--files gs://bucket/league: a folder or s3://"),
        (["league", "serve", "--database", "mysql://a:secret@b/c"], "sqlite:///PATH"),
    ],
)
def test_a_wrong_word_gets_one_line_and_exit_2(words: list[str], expected: str, person: Path, cogames: Cogames):
    done = cogames(*words)
    assert done.code == 2 and expected in done.err and done.err.count("\n") == 1 and "secret" not in done.err
