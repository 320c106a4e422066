"""Commands to watch: what of the options reaches the job, and episodes that are kept and shown again."""

import socket
from pathlib import Path

import pytest
import yaml

from metta.common.defaults import TEAM
from metta.eval.replay.file import read_replay
from tests.cli.conftest import Cogames
from tests.view.conftest import make_match

QUIET = ("play", "-p", "role", "-r", "none", "-s", "20")


def test_options_are_settings_of_the_job(cogames: Cogames):
    words = "play -m aligner_tutorial -c 3 -v forest -s 50 -r unicode --speed 8 --no-autostart --port 8000 --map-seed 0"
    job = yaml.safe_load(cogames("--cfg", "job", *words.split(), "--seed", "0").out)
    assert (job["render"], job["speed"], job["autostart"], job["port"]) == ("unicode", 8, False, 8000)
    assert (job["seed"], job["map_seed"], job["policy_uri"], job["mission"]["max_steps"]) == (0, 0, TEAM, 50)
    assert (job["mission"]["name"], job["mission"]["cogs"]) == ("cogsguard_arena.aligner_tutorial", 3)


def test_without_options_an_episode_is_shown_in_the_browser(cogames: Cogames):
    job = yaml.safe_load(cogames("--cfg", "job", "play").out)
    assert (job["render"], job["seed"], job["autostart"], job["policy_uri"]) == ("gui", 42, True, TEAM)


def test_without_options_there_is_something_to_see_and_it_is_said_what(cogames: Cogames):
    first, *lines = cogames("play", "-r", "log", "-s", "60").out.splitlines()
    assert first == f"{TEAM} plays cogsguard_arena.basic, 8 agents, seed 42"
    assert any("puts on aligner" in line for line in lines) and any("puts on miner" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--save-replay-file", "kept/game.replay"), "kept/game.replay"),
        (("--save-replay-dir", "kept", "--seed", "7"), "kept/cogsguard_arena.basic.role.seed7.replay"),
    ],
)
def test_an_episode_is_kept_where_asked(words: tuple[str, ...], name: str, cogames: Cogames, tmp_path: Path):
    done = cogames(*QUIET, *words)
    assert done.code == 0 and done.out.endswith(f"replay of 20 steps: {name}\n"), done
    assert read_replay(tmp_path / name).steps == 20


def test_a_kept_episode_becomes_one_page(cogames: Cogames, tmp_path: Path):
    cogames(*QUIET, "--save-replay-file", "game.replay")
    assert cogames("replay", "game.replay", "--html", "game.html").out == "wrote game.html\n"
    assert "<html" in (tmp_path / "game.html").read_text()


def test_a_replay_becomes_a_video(cogames: Cogames, tmp_path: Path):
    cogames(*QUIET, "--save-replay-file", "game.replay")
    done = cogames("replay", "game.replay", "--video", "game.gif", "--speed", "8")
    assert done.code == 0 and done.out == "wrote game.gif: 2 seconds\n", done
    assert (tmp_path / "game.gif").read_bytes().startswith(b"GIF89a")
    refused = cogames("replay", "game.replay", "--video", "game.avi")
    assert refused.code == 2 and "a video ends in .mp4 or .gif" in refused.err


def test_a_folder_of_replays_is_listed(cogames: Cogames):
    cogames(*QUIET, "--save-replay-dir", "kept")
    done = cogames("replay", "kept")
    assert done.code == 0 and "cogsguard_arena.basic.role.seed42.replay" in done.out and "20 of 20" in done.out
    assert cogames("replay", "kept", "--html", "game.html").code == 2


def test_a_broken_replay_gets_one_line(cogames: Cogames, tmp_path: Path):
    cogames(*QUIET, "--save-replay-file", "game.replay")
    path = tmp_path / "game.replay"
    path.write_bytes(path.read_bytes()[:-20])
    for words in (("replay", "game.replay"), ("replay", "game.replay", "--html", "game.html")):
        done = cogames(*words)
        assert done.code == 2 and done.err.startswith("error: ") and len(done.err.splitlines()) == 1, done
    assert not (tmp_path / "game.html").exists()


def test_a_replay_that_was_cut_is_shown_with_a_word_on_it(cogames: Cogames, tmp_path: Path):
    match = make_match("noop", steps=9)
    match.recording.grow(tmp_path / "game.replay")
    for _ in range(5):
        match.advance()
    match.recording.close()
    done = cogames("replay", "game.replay", "--html", "game.html")
    assert done.code == 0 and "game.replay: cut after step 5: " in done.err and len(done.err.splitlines()) == 1


def test_a_port_in_use_gets_one_line(cogames: Cogames):
    cogames(*QUIET, "--save-replay-file", "game.replay")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        for words in (("replay", "game.replay", "--port", port), ("play", "-p", "role", "--port", port)):
            done = cogames(*words)
            assert done.code == 2 and port in done.err and len(done.err.splitlines()) == 1, done


def test_an_episode_cannot_be_kept_in_two_places(cogames: Cogames):
    done = cogames(*QUIET, "--save-replay-file", "a.replay", "--save-replay-dir", "b")
    assert done.code == 2 and "name one of them" in done.err
