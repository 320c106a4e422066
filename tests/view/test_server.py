"""The server of the page answers this machine only, and obeys nobody who has not got its page."""

import json
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import pytest

from metta.common.errors import UserError
from metta.view import show
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
    assert [ask(server, name)[0] for name in ("", "events", "share.html")] == [200, 200, 200]
    assert server.address.endswith(f"/{server.token}/")


@pytest.mark.parametrize("token", ["", "x", "é", "..", "x" * 22])
@pytest.mark.parametrize("name", ["", "events", "share.html"])
def test_nothing_is_without_the_token(name: str, token: str, server: ViewerServer):
    assert ask(server, name, token=quote(token))[0] == 404


@pytest.mark.parametrize("name", ["../../etc/passwd", "index.html", "/", "events?x", "wish"])
def test_nothing_else_is(name: str, server: ViewerServer):
    assert ask(server, name)[0] == 404


@pytest.mark.parametrize("host", ["example.org", "evil.test:80", "127.0.0.1", ""])
@pytest.mark.parametrize("name", ["", "share.html", "events"])
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
    assert ask(server, "wish", "POST", None, Content_Length="-1")[0] == 413


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


def test_with_a_display_the_browser_is_opened(
    played: Played, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    opened: list[str] = []
    monkeypatch.setattr(show, "can_open_browser", lambda: True)
    monkeypatch.setattr(show.webbrowser, "open", lambda address: not opened.append(address))
    monkeypatch.setattr(ViewerServer, "serve_forever", interrupted)
    show_replay_file(played.path)
    show_replay_file(played.path, open_browser=False)
    first, _, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith(f"showing {opened[0]}") and len(opened) == 1
    assert second.startswith("open in a browser:")


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
