"""Serving the page on this machine: a replay, or a match that is being played."""

import errno
import io
import json
import os
import re
import secrets
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

from pydantic import ValidationError

from metta.common.errors import UserError
from metta.view.connections import BoundedServer
from metta.view.live import LiveMatch, Wish
from metta.view.page import content_policy, live_page, replay_page

HOST = "127.0.0.1"
MOST_REQUEST = 1 << 16  # bytes of a request, its head and its body
MOST_WISH = 1000  # bytes
ASKING, ANSWERING = 10.0, 60.0  # seconds in which something must come in, or go out


class ViewerServer(BoundedServer):
    """Answers on localhost only, to requests that name this host and know the token in the address: neither pages of
    other origins nor other people on this machine get anything."""

    allow_reuse_address = os.name == "posix"  # elsewhere it would let two servers share a port

    def __init__(self, port: int, *, replay: bytes | None = None, match: LiveMatch | None = None) -> None:
        """Shows a replay file or a match. Port 0 takes a free one. Raises UserError for a port that is in use."""
        self.replay, self.match, self.token = replay, match, secrets.token_urlsafe(16)
        self.seen = threading.Event()  # a browser has the page
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


class _Request(io.BufferedIOBase):
    """What comes in, up to MOST_REQUEST bytes; beyond them it reads as ended."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file, self.left = file, MOST_REQUEST

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._counted(self._file.readline(self._most(size)))

    def read(self, size: int | None = -1, /) -> bytes:
        return self._counted(self._file.read(self._most(size)))

    def close(self) -> None:
        self._file.close()

    def _most(self, size: int | None) -> int:
        return self.left if size is None or size < 0 else min(size, self.left)

    def _counted(self, data: bytes) -> bytes:
        self.left -= len(data)
        return data


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "cogames", ""
    timeout = ASKING
    server: ViewerServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def setup(self) -> None:
        super().setup()
        self.rfile = self._request = _Request(self.rfile)

    def do_GET(self) -> None:
        self._heard()
        asked = self._asked()
        if refusal := self._refusal(asked):
            self.send_error(refusal)
        elif asked == "":
            self.server.seen.set()
            self._send("text/html; charset=utf-8", self.server.page().encode())
        elif asked == "events" and self.server.match:
            self._stream(self.server.match)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        match, asked = self.server.match, self._asked()
        if refusal := self._refusal(asked):
            self.send_error(refusal)
        elif asked != "wish" or match is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif isinstance(body := self._body(), HTTPStatus):
            self.send_error(body)
        else:
            self._heard()
            try:
                match.wish(Wish.model_validate_json(body))
                self._send("application/json", b"{}")
            except (ValidationError, UserError):
                self.send_error(HTTPStatus.BAD_REQUEST)

    def _heard(self) -> None:
        """The request is there as a whole: what follows may take its time."""
        self.server.heard(self.connection)
        self.connection.settimeout(ANSWERING)

    def _refusal(self, asked: str | None) -> HTTPStatus | None:
        """Why a request is not looked at: too long, of a foreign name that leads here, or of another page."""
        if not self._request.left:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        port, hosts = self.server.server_address[1], self.headers.get_all("Host", [])
        ours = len(hosts) == 1 and hosts[0] in (f"{HOST}:{port}", f"localhost:{port}")
        same = ours and self.headers.get("Origin") in (None, f"http://{hosts[0]}")
        # The page itself is opened from anywhere, by a click on its address.
        near = asked == "" or self.headers.get("Sec-Fetch-Site") in (None, "none", "same-origin")
        return None if same and near else HTTPStatus.FORBIDDEN

    def _asked(self) -> str | None:
        """What is asked for, without the token that goes before it; None where that is wrong."""
        token, _, name = self.path.removeprefix("/").partition("/")
        return name if secrets.compare_digest(token.encode(), self.server.token.encode()) else None

    def _body(self) -> bytes | HTTPStatus:
        """The body of a request, or why it is not read."""
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or not lengths:
            return HTTPStatus.LENGTH_REQUIRED
        if len(lengths) > 1 or not re.fullmatch("[0-9]+", lengths[0]):
            return HTTPStatus.BAD_REQUEST
        if len(lengths[0]) > len(str(MOST_WISH)) or int(lengths[0]) > MOST_WISH:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return self.rfile.read(int(lengths[0]))

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, match: LiveMatch) -> None:
        """Server-sent events until the match or the browser ends. The first watcher starts the match."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        match.start()
        for news in match.news():
            self.wfile.write(f"data: {json.dumps(news)}\n\n".encode() if news else b": still here\n\n")
            self.wfile.flush()

    def send_response(self, code: int, message: str | None = None) -> None:
        """Also to one who speaks HTTP/0.9, whose answers have no headers otherwise."""
        self.request_version = self.protocol_version
        super().send_response(code, message)

    def end_headers(self) -> None:
        """What every answer tells the browser: who may do what with it."""
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", f"{content_policy()}; frame-ancestors 'none'")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        super().end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The plain meaning of the code: nothing of the request is repeated."""
        super().send_error(code)

    def log_message(self, format: str, *args: object) -> None:
        return
