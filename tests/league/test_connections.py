"""Connections of somebody who means harm: they end, and what they say is taken for one request only."""

import socket
from collections.abc import Iterator

import pytest

from metta.league.server import connections, guard
from tests.league.conftest import MakeLeague, listening

FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
POST = b"POST /sign-in HTTP/1.1\r\nHost: a\r\n" + FORM
GET = b"GET /whoami HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def port(make_league: MakeLeague, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of a league that is impatient."""
    monkeypatch.setattr(connections, "PATIENCE", 0.5)
    monkeypatch.setattr(guard, "STALL", 0.5)
    with listening(make_league()) as address:
        yield int(address.rpartition(":")[2])


def said(port: int, data: bytes) -> bytes:
    """All that the server says until it ends the connection, as it must."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(30)
        connection.sendall(data)
        found = b""
        while piece := connection.recv(1 << 16):
            found += piece
        return found


ENDED = {
    "nothing is asked": (b"", b""),
    "a head without end": (b"GET /whoami HTTP/1.1\r\nHost: a\r\nX: y\r\n", b""),
    "half of a second head": (GET + b"GET /whoami HTTP/1.1\r\n", b"HTTP/1.1 401"),
    "a body that stops": (POST + b"Content-Length: 100\r\n\r\nname=", b"HTTP/1.1 408"),
    "pieces that stop": (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nname=\r\n", b"HTTP/1.1 408"),
    "a piece of any size": (POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n", b"HTTP/1.1 4"),
    "a head of any size": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * (1 << 15), b"HTTP/1.1 400"),
    "two lengths": (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"HTTP/1.1 400"),
    "a length that is none": (POST + b"Content-Length: -1\r\n\r\n", b"HTTP/1.1 400"),
    "two hosts": (b"GET /whoami HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"HTTP/1.1 400"),
    "another protocol": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/1.1 4"),
    "a proxy's request": (b"CONNECT evil.example:80 HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 404"),
    "a host that is no name": (POST + b"Content-Length: 0\r\nOrigin: http://[\r\n\r\n", b"HTTP/1.1 4"),
}


@pytest.mark.parametrize("name", ENDED)
def test_a_connection_that_asks_nothing_whole_ends(name: str, port: int):
    data, answer = ENDED[name]
    assert said(port, data).startswith(answer)


def test_what_follows_a_body_of_two_lengths_is_no_request(port: int):
    """A proxy may have taken it for a part of the body."""
    found = said(port, POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET)
    assert found.startswith(b"HTTP/1.1 400") and found.count(b"HTTP/1.1 ") == 1
