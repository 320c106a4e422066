"""The server of the page answers this machine only, and obeys nobody who has not got its page."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from metta.common.errors import UserError
from metta.view.live import LiveMatch
from metta.view.server import HOST, MOST_WISH, ViewerServer
from metta.view.show import play_live, show_replay_file
from tests.view.conftest import Played, make_match


@pytest.fixture
def server() -> Iterator[ViewerServer]:
    live = LiveMatch(make_match("noop", steps=100), playing=False)
    served = ViewerServer(0, match=live)
    thread = threading.Thread(target=served.serve_forever, args=(0.02,))
    thread.start()
    yield served
    live.close()
    served.shutdown()
    thread.join()
    served.server_close()


def ask(
    server: ViewerServer,
    name: str,
    method: str = "GET",
    body: bytes | None = None,
    token: str | None = None,
    **headers: str,
) -> tuple[int, str]:
    """Status and text of an answer; of a stream only the status. `Content_Length` stands for Content-Length."""
    line = HTTPConnection(*server.server_address[:2], timeout=5)
    path = f"/{server.token if token is None else token}/{name}"
    line.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
    answer = line.getresponse()
    text = "" if name == "events" and answer.status == 200 else answer.read().decode()
    line.close()
    return answer.status, text


def wish(server: ViewerServer, token: str | None = None, **wishes: object) -> int:
    return ask(server, "wish", "POST", json.dumps(wishes).encode(), token)[0]


def test_it_listens_on_this_machine_only(server: ViewerServer):
    assert server.server_address[0] == HOST == "127.0.0.1"


def test_the_page_the_match_and_the_shared_replay_are_served(server: ViewerServer):
    assert [ask(server, name)[0] for name in ("", "events")] == [200, 200]
    assert server.address.endswith(f"/{server.token}/")


@pytest.mark.parametrize("token", ["", "x", "é", "..", "x" * 22])
@pytest.mark.parametrize("name", ["", "events"])
def test_nothing_is_without_the_token(name: str, token: str, server: ViewerServer):
    assert ask(server, name, token=quote(token))[0] == 404


@pytest.mark.parametrize("name", ["../../etc/passwd", "index.html", "/", "events?x", "wish"])
def test_nothing_else_is(name: str, server: ViewerServer):
    assert ask(server, name)[0] == 404


@pytest.mark.parametrize("host", ["example.org", "evil.test:80", "127.0.0.1", ""])
@pytest.mark.parametrize("name", ["", "events"])
def test_a_name_that_was_led_here_is_refused(host: str, name: str, server: ViewerServer):
    assert ask(server, name, Host=host)[0] == 403


def test_a_wish_needs_the_token_and_this_host(server: ViewerServer):
    assert wish(server, token="x", step=True) == 404
    assert ask(server, "wish", "POST", b"{}", Host="example.org")[0] == 403
    assert wish(server, step=True) == 200


@pytest.mark.parametrize(
    "wishes", [{"speed": 1e9}, {"speed": "fast"}, {"agent": 8}, {"action": 99}, {"action": -1}, {"eval": "x"}]
)
def test_a_wish_that_cannot_be_is_refused(wishes: dict[str, object], server: ViewerServer):
    assert wish(server, **wishes) == 400


def test_a_wish_of_no_or_great_length_is_not_read(server: ViewerServer):
    assert ask(server, "wish", "POST", bytes(MOST_WISH + 1))[0] == 413
    assert ask(server, "wish", "POST", b"[" * MOST_WISH)[0] == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Length": "-1"}, 400),
        ({"Content_Length": "²".encode().decode("latin-1")}, 400),
        ({"Content_Length": "\xb2"}, 400),
        ({"Content_Length": "+2"}, 400),
        ({"Content_Length": "0x2"}, 400),
        ({"Content_Length": "9" * 5000}, 413),
        ({"Content_Length": "1001"}, 413),
        ({"Transfer_Encoding": "chunked"}, 411),
        ({"Transfer_Encoding": "chunked", "Content_Length": "2"}, 411),
    ],
)
def test_a_length_that_is_none_is_refused(headers: dict[str, str], status: int, server: ViewerServer):
    assert ask(server, "wish", "POST", None, **headers)[0] == status


def test_a_replay_has_no_events_and_takes_no_wishes(played: Played):
    served = ViewerServer(0, replay=played.path.read_bytes())
    thread = threading.Thread(target=served.serve_forever, args=(0.02,))
    thread.start()
    answers = [ask(served, "")[0], ask(served, "events")[0], wish(served, step=True)]
    served.shutdown()
    thread.join()
    served.server_close()
    assert answers == [200, 404, 404]


def interrupted(server: ViewerServer, *_: object) -> None:
    raise KeyboardInterrupt


def test_without_a_display_the_address_is_printed(
    played: Played, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(ViewerServer, "serve_forever", interrupted)
    assert show_replay_file(played.path) == 0
    assert capsys.readouterr().out.startswith("open in a browser: http://127.0.0.1:")


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A browser that notes what it was called with and what it read there, and does not return for a minute."""
    program, noted = tmp_path / "browser", tmp_path / "noted"
    program.write_text(
        f'#!/bin/sh\nps -o args= -p $$ > {noted}.tmp\nfile="${{1#file://}}"\n'
        f'stat -c %a "$file" >> {noted}.tmp\ncat "$file" >> {noted}.tmp\nmv {noted}.tmp {noted}\nexec sleep 60\n'
    )
    program.chmod(0o700)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("BROWSER", str(program))
    return noted


@pytest.mark.skipif(os.name != "posix", reason="the browser is a shell script")
def test_a_browser_gets_the_address_in_a_file_of_ours_and_nobody_waits_for_it(
    browser: Path, played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [sys.executable, "-m", "metta.cli.cogames", "replay", str(played.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        shown, address, *_ = program.stdout.readline().split()
        while not browser.exists():
            time.sleep(0.02)
        called, mode, *page = browser.read_text().splitlines()
        token = address.split("/")[3]
        assert shown == "showing" and token not in called and mode == "600"
        assert f"url={address}" in "".join(page) and list(tmp_path.glob("cogames-*.html"))
        assert urlopen(address, timeout=5).status == 200
        while list(tmp_path.glob("cogames-*.html")):
            time.sleep(0.02)
        program.send_signal(signal.SIGINT)
        assert program.wait(10) == 0


def test_without_a_browser_only_the_address_is_printed(
    played: Played, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(ViewerServer, "serve_forever", interrupted)
    show_replay_file(played.path, open_browser=False)
    assert capsys.readouterr().out.startswith("open in a browser: http://127.0.0.1:")


@pytest.mark.parametrize("name", ["", "events", "wish", "none"])
def test_every_answer_says_who_may_do_what_with_it(name: str, server: ViewerServer):
    line = HTTPConnection(*server.server_address[:2], timeout=5)
    line.request("GET", f"/{server.token}/{name}")
    said = dict(line.getresponse().getheaders())
    line.close()
    assert said["X-Content-Type-Options"] == "nosniff" and said["Referrer-Policy"] == "no-referrer"
    assert said["X-Frame-Options"] == "DENY" and said["Cache-Control"] == "no-store"
    policy = said["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy
    (scripts,) = re.findall("script-src ([^;]*)", policy)
    assert re.fullmatch("'sha256-[^ ]*'", scripts)


@pytest.mark.parametrize("origin", ["http://example.org", "null", "http://127.0.0.1", "http://localhost:1"])
def test_a_wish_from_another_page_is_refused(origin: str, server: ViewerServer):
    port = server.server_address[1]
    assert ask(server, "wish", "POST", b"{}", Origin=origin)[0] == 403
    assert ask(server, "wish", "POST", b"{}", Origin=f"http://127.0.0.1:{port}")[0] == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_only_the_page_itself_is_opened_from_elsewhere(site: str, server: ViewerServer):
    asked = [ask(server, name, Sec_Fetch_Site=site)[0] for name in ("", "events")]
    assert asked == [200, 403] and ask(server, "wish", "POST", b"{}", Sec_Fetch_Site=site)[0] == 403
    assert ask(server, "events", Sec_Fetch_Site="same-origin")[0] == 200


def test_a_port_in_use_is_named_in_one_line(played: Played):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"^port {port} is in use: choose another one, or 0 for a free one$"):
            show_replay_file(played.path, port=port)


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_there_is_not_is_named_in_one_line(port: int, played: Played):
    with pytest.raises(UserError, match=f"^port {port} cannot be opened"):
        show_replay_file(played.path, port=port)


def test_a_damaged_replay_is_refused_before_anything_opens(played: Played, tmp_path: Path):
    (tmp_path / "cut.replay").write_bytes(played.path.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"^.*cut\.replay: damaged replay: .*$"):
        show_replay_file(tmp_path / "cut.replay")


def test_what_was_played_is_saved_when_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    match = make_match("noop", steps=50)

    def play_some(server: ViewerServer, *_: object) -> None:
        live = server.match
        assert live
        for _ in range(3):
            live.match.advance()
        raise KeyboardInterrupt

    monkeypatch.setattr(ViewerServer, "serve_forever", play_some)
    path = tmp_path / "new" / "game.replay"
    assert play_live(match.mission, match.policy, 1, save_replay=path) == 0
    assert f"replay of 3 steps: {path}" in capsys.readouterr().out and path.is_file()
