"""Serving the page on this machine: a replay, or a match that is being played."""

import errno
import json
import os
import secrets
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import ValidationError

from metta.common.errors import UserError
from metta.view.live import LiveMatch, Wish
from metta.view.page import live_page, replay_page

HOST = "127.0.0.1"
MOST_WISH = 1000  # bytes


class ViewerServer(ThreadingHTTPServer):
    """Answers on localhost only, to requests that name this host and know the token in the address: neither pages of
    other origins nor other people on this machine get anything."""

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # elsewhere it would let two servers share a port

    def __init__(self, port: int, *, replay: bytes | None = None, match: LiveMatch | None = None) -> None:
        """Shows a replay file or a match. Port 0 takes a free one. Raises UserError for a port that is in use."""
        self.replay, self.match, self.token = replay, match, secrets.token_urlsafe(16)
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            used = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            why = "is in use: choose another one, or 0 for a free one" if used else f"cannot be opened ({error})"
            raise UserError(f"port {port} {why}") from None

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}/{self.token}/"

    def page(self) -> str:
        """What the browser opens."""
        return live_page() if self.match else replay_page(self.replay or b"")

    def shared(self) -> str:
        """The replay so far as a page of its own."""
        return replay_page(self.match.to_bytes() if self.match else self.replay or b"")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    timeout = 60.0  # seconds that a request may dawdle
    server: ViewerServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        if not self._is_ours():
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        match self._asked():
            case "":
                self._send("text/html; charset=utf-8", self.server.page().encode())
            case "share.html":
                self._send("text/html; charset=utf-8", self.server.shared().encode())
            case "events" if self.server.match:
                self._stream(self.server.match)
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        match, length = self.server.match, self.headers.get("Content-Length", "")
        if not self._is_ours():
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self._asked() != "wish" or match is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif not length.isdigit() or int(length) > MOST_WISH:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            try:
                match.wish(Wish.model_validate_json(self.rfile.read(int(length))))
                self._send("application/json", b"{}")
            except (ValidationError, UserError):
                self.send_error(HTTPStatus.BAD_REQUEST)

    def _is_ours(self) -> bool:
        """Whether the request names this host: a foreign name that leads here is refused."""
        port = self.server.server_address[1]
        return self.headers.get("Host") in (f"{HOST}:{port}", f"localhost:{port}")

    def _asked(self) -> str | None:
        """What is asked for, without the token that goes before it; None where that is wrong."""
        token, _, name = self.path.removeprefix("/").partition("/")
        return name if secrets.compare_digest(token.encode(), self.server.token.encode()) else None

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, match: LiveMatch) -> None:
        """Server-sent events until the match or the browser ends. The first watcher starts the match."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        match.start()
        for news in match.news():
            self.wfile.write(f"data: {json.dumps(news)}\n\n".encode() if news else b": still here\n\n")
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        return
