"""Whatever comes over the line: no traceback, no hang, bounded memory and threads, and the match is served still."""

import json
import random
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from metta.view.connections import MOST_CONNECTIONS
from metta.view.server import MOST_REQUEST, ViewerServer
from tests.view.test_server import ask, server, wish

__all__ = ["server"]  # the fixture
WAIT = 20.0  # seconds after which an answer counts as one that never comes
LEFT_OPEN = 60  # connections that say nothing more, at most
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "", "G\0T", "é", "X" * 300)
VERSIONS = ("HTTP/1.0", "HTTP/1.1", "HTTP/0.9", "HTTP/2", "HTTP/1.1.1", "HTTP/x", "HTTP/-1.0", "", "HTTP/9999999999.1")
LENGTHS = ("", "0", "2", "-1", "²", "+2", "2 ", "2, 2", "0x2", "1e3", "1001", "9" * 30, "9" * 5000, "\0")
VALUES = (None, True, -1, 0, 1e308, 10**400, "x", [], {}, "\ud800", float("nan"), [[[]]])
KEYS = ("playing", "step", "speed", "agent", "action", "eval", "", "__class__")
Make = Callable[[random.Random, ViewerServer], bytes]


def noise(chance: random.Random, server: ViewerServer) -> bytes:
    return chance.randbytes(chance.choice([0, 1, 3, 40, 3000])) + chance.choice([b"", b"\r\n\r\n", b"\n\n"])


def line(chance: random.Random, server: ViewerServer) -> bytes:
    """A request line of which each part may be wrong."""
    path = chance.choice(["/", "", "//", "/../..", "*", "/%00", "/" * 3000, "http://x/", f"/{server.token}/x y", "/é"])
    parts = [chance.choice(METHODS), path, chance.choice(VERSIONS)]
    return (" ".join(parts) + "\r\n\r\n").encode()


def flood(chance: random.Random, server: ViewerServer) -> bytes:
    """Too many headers, too long ones, or ones that are none."""
    headers = chance.choice(
        [b"X: y\r\n" * 200, b"X: " + b"y" * 70_000 + b"\r\n", (b"X: " + b"y" * 9000 + b"\r\n") * 20,
         b"\0: \x0b\x85\r\n", b" folded\r\n", b"no colon\r\n", b":\r\n" * 50, b"Host: a\r\nHost: b\r\n"]
    )  # fmt: skip
    return f"GET /{server.token}/ HTTP/1.1\r\n".encode() + headers + b"\r\n"


def length(chance: random.Random, server: ViewerServer) -> bytes:
    """A wish whose length is missing, none, or not that of its body."""
    said = [f"Content-Length: {chance.choice(LENGTHS)}\r\n" for _ in range(chance.choice([0, 1, 1, 1, 2]))]
    said += chance.choice([[], [], ["Transfer-Encoding: chunked\r\n"], ["Transfer-Encoding: x\r\n"]])
    return head(server, "".join(said)).encode() + chance.choice([b"", b"{}", b"5\r\n{}\r\n", b"{" * 2000])


def bad_wish(chance: random.Random, server: ViewerServer) -> bytes:
    """A wish in proper form that asks for something that cannot be."""
    kind = chance.randrange(3)
    if kind == 0:
        body = chance.choice([b"[" * 999, b'{"a":' * 150, b"\xff\xfe{}", b"null", b"", b"1e999", b'{"step":tru'])
    elif kind == 1:
        body = chance.randbytes(chance.randrange(1000))
    else:
        body = json.dumps({chance.choice(KEYS): chance.choice(VALUES) for _ in range(chance.randrange(4))}).encode()
    return head(server, f"Content-Length: {len(body)}\r\n").encode() + body


def head(server: ViewerServer, headers: str) -> str:
    return f"POST /{server.token}/wish HTTP/1.1\r\nHost: 127.0.0.1:{server.server_address[1]}\r\n{headers}\r\n"


def changed(chance: random.Random, server: ViewerServer) -> bytes:
    """A proper request with some bytes changed, or cut off."""
    data = bytearray(head(server, "Content-Length: 2\r\n").encode() + b"{}")
    for _ in range(chance.choice([1, 3, 20])):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])


MAKERS: tuple[Make, ...] = (noise, line, flood, length, bad_wish, changed)


def answered(server: ViewerServer, request: bytes) -> bytes:
    """Everything that comes back once nothing more is said. Fails where the server does not end the connection."""
    with socket.create_connection(("127.0.0.1", server.server_address[1]), WAIT) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))
        except TimeoutError:
            raise
        except OSError:  # it had heard enough
            return b""


def memory() -> int:
    """Bytes that this process has in memory."""
    status = Path("/proc/self/status")
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status.read_text())[0]) * 1024 if status.exists() else 0


@pytest.mark.parametrize("requests", [400, pytest.param(100_000, marks=pytest.mark.soak)])
def test_no_request_upsets_it(requests: int, server: ViewerServer, capsys: pytest.CaptureFixture[str]):
    chance, left = random.Random(requests), []
    threads, before = threading.active_count(), memory()
    for number in range(requests):
        request = chance.choice(MAKERS)(chance, server)
        if chance.random() < 0.1:  # half a request, and then nothing
            left.append(socket.create_connection(("127.0.0.1", server.server_address[1]), WAIT))
            left[-1].sendall(request[: chance.randrange(40)])
            if len(left) > LEFT_OPEN:
                left.pop(0).close()
            continue
        answer = answered(server, request)
        assert answer == b"" or answer.startswith(b"HTTP/"), (request, answer)
        if number % 100 == 0:
            assert threading.active_count() <= threads + MOST_CONNECTIONS + 1
            assert memory() - before < 100_000_000
            assert ask(server, "")[0] == 200
    assert wish(server, step=True) == 200 and ask(server, "")[0] == 200
    for connection in left:
        connection.close()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"BREW / HTTP/1.1\r\n\r\n", b"501"),
        (b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", b"403"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\n" + (b"X: " + b"y" * 9000 + b"\r\n") * 20 + b"\r\n", b"431"),
        (b"GET /" + b"x" * 2 * MOST_REQUEST + b" HTTP/1.1\r\n\r\n", b"431"),
    ],
)
def test_what_is_no_request_of_ours_gets_the_code_for_it(request_: bytes, status: bytes, server: ViewerServer):
    assert answered(server, request_).split()[1:2] in ([status], [])  # [] where it hung up while we still spoke


def test_a_wish_without_a_length_is_refused(server: ViewerServer):
    assert answered(server, head(server, "").encode()).split()[1] == b"411"


def test_idle_connections_make_room_for_those_who_ask(server: ViewerServer):
    threads = threading.active_count()
    idle = [socket.create_connection(("127.0.0.1", server.server_address[1]), WAIT) for _ in range(300)]
    assert ask(server, "")[0] == 200 and wish(server, step=True) == 200
    assert threading.active_count() <= threads + MOST_CONNECTIONS
    assert idle[0].recv(1) == b""  # the oldest were hung up on
    for connection in idle:
        connection.close()


def test_where_all_are_watching_one_more_is_refused_at_once(server: ViewerServer):
    port = server.server_address[1]
    request = f"GET /{server.token}/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    watching = [socket.create_connection(("127.0.0.1", port), WAIT) for _ in range(MOST_CONNECTIONS)]
    for connection in watching:
        connection.sendall(request)
        assert connection.recv(12) == b"HTTP/1.0 200"
    assert answered(server, request).startswith(b"HTTP/1.0 503 ")
    for connection in watching:
        connection.close()
