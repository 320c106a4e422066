"""What every request goes through before a route: sizes, rates; and what every answer tells the browser."""

import threading
import time
from collections import OrderedDict
from hashlib import sha256

from fastapi import HTTPException, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metta.league.league import League
from metta.league.server.html import refusal

MOST_KNOWN = 100_000  # callers whose requests are counted
SENT_LARGE = ("/files/", "/upload", "/work/jobs/")  # paths that take bundles, replays, results
GUESSED = ("/sign-in",)
MADE = ("/sign-up",)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
FORM_ROOM = 10_000  # bytes of a form around the file in it


class Rates:
    """Requests of each caller by a bucket that fills again with time."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, kind: str, caller: str, most: int, seconds: float) -> float:
        """Seconds that a caller has to wait, 0 for one that may go on: at most so many requests in so many seconds."""
        moment, key = time.monotonic(), (kind, caller)
        with self._lock:
            left, since = self._buckets.pop(key, (float(most), moment))
            left = min(most, left + (moment - since) * most / seconds)
            wait = 0.0 if left >= 1 else (1 - left) * seconds / most
            self._buckets[key] = (left if wait else left - 1, moment)
            while len(self._buckets) > MOST_KNOWN:
                self._buckets.popitem(last=False)
        return wait


class Guard:
    """The middleware of a league's server."""

    def __init__(self, app: ASGIApp, league: League) -> None:
        self._app, self._league, self._limits, self._rates = app, league, league.settings.limits, Rates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        scope.setdefault("state", {})

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                _tell(MutableHeaders(scope=message), scope)
            await send(message)

        if wait := self._wait(scope, headers):
            refused = refusal(Request(scope), self._league, 429, f"too many requests; again in {int(wait) + 1} s")
            refused.headers["Retry-After"] = str(int(wait) + 1)
            return await refused(scope, receive, answer)
        most = self._most(scope["path"])
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 18 or int(length) > most:
            return await refusal(Request(scope), self._league, 413, f"at most {most:,} bytes")(scope, receive, answer)
        await self._app(scope, _bounded(receive, most), answer)

    def _most(self, path: str) -> int:
        if path.startswith(SENT_LARGE):
            return self._limits.upload_bytes + FORM_ROOM
        return self._limits.request_bytes

    def _wait(self, scope: Scope, headers: Headers) -> float:
        address = scope["client"][0] if scope.get("client") else ""
        shown = headers.get("x-auth-token") or headers.get("authorization")
        caller = sha256(shown.encode()).hexdigest() if shown else address
        limits, wait = self._limits, 0.0
        if scope["method"] == "POST" and scope["path"] in GUESSED:
            wait = self._rates.wait("guess", address, limits.sign_ins_per_minute, 60)
        if scope["method"] == "POST" and scope["path"] in MADE:
            wait = self._rates.wait("make", address, limits.accounts_per_hour, 3600)
        return wait or self._rates.wait("ask", caller, limits.requests_per_minute, 60)


class TooLongBodyError(HTTPException):
    """A body without a length that goes on and on."""

    def __init__(self) -> None:
        super().__init__(413, "the body is too long")


def _bounded(receive: Receive, most: int) -> Receive:
    """The body, up to so many bytes."""
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise TooLongBodyError
        return message

    return bounded


def _tell(headers: MutableHeaders, scope: Scope) -> None:
    headers.setdefault("Content-Security-Policy", f"{POLICY} {scope['state'].get('form_action', '')}".strip())
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = headers.get("X-Frame-Options", "DENY")
    headers["Referrer-Policy"] = "same-origin"  # without any, browsers hide where a form comes from
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers.setdefault("Cache-Control", "max-age=60" if scope["path"].startswith("/static/") else "no-store")
