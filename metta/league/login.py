"""Logging in with a browser: it is led to the login server, which sends a token to a port of this machine.

The path there is a secret of this log-in: other pages in the browser know none, and bring no token of theirs.
"""

import secrets
import threading
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from metta.common.errors import UserError
from metta.common.logging import note
from metta.league.names import TOKEN

HOST = "127.0.0.1"
DONE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Logged in</title>
<body style="font: 1.1rem system-ui; margin: 3rem; color-scheme: light dark"><h1>Logged in</h1>
<p>Go on in the terminal; this page can be closed.</p></body></html>"""


class _Listener(ThreadingHTTPServer):
    """Waits for one token."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Handler)
        self.token, self.come = "", threading.Event()
        self.callback = f"http://{HOST}:{self.server_address[1]}/callback/{secrets.token_urlsafe(16)}"


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "cogames", ""
    timeout = 10
    server: _Listener  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        token = parse_qs(asked.query).get("token", [""])[0]
        wanted = urlsplit(self.server.callback)
        ours = self.headers.get("Host") == wanted.netloc and secrets.compare_digest(
            asked.path.encode(), wanted.path.encode()
        )
        if not ours or not TOKEN.fullmatch(token):
            return self.send_error(400)
        body = DONE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)
        self.server.token = token
        self.server.come.set()

    def log_message(self, format: str, *args: object) -> None:
        return


def log_in(login_server: str, timeout: float) -> str:
    """The token that a browser brings. Raises UserError where none comes in time (seconds)."""
    with _Listener() as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        try:
            address = f"{login_server}/tokens/cli?{urlencode({'callback': listener.callback})}"
            note(f"log in with a browser: {address}")
            webbrowser.open(address)
            if not listener.come.wait(timeout):
                raise UserError(
                    f"nobody logged in within {timeout:.0f} s (without a browser here: make a token at "
                    f"{login_server}/tokens and keep it by cogames auth set-token)"
                )
            return listener.token
        finally:
            listener.shutdown()
