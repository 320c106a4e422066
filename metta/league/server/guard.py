"""What every request goes through before a route: sizes, rates, times; and what every answer tells the browser."""

import asyncio
import threading
import time
from collections import OrderedDict
from hashlib import sha256
from ipaddress import IPv6Address, ip_address

from fastapi import HTTPException, Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metta.league.league import League
from metta.league.server.html import refusal
from metta.league.settings import MEGABYTE

MOST_KNOWN = 100_000  # callers whose requests are counted
SENT_LARGE = ("/files/", "/upload")  # paths that take bundles and replays
RESULTS = "/work/jobs/"  # path that takes what came of a match
MOST_RESULT = 32 * MEGABYTE
STALL = 30.0  # seconds until more of a body has to come
SLOWEST = 4_096  # bytes of a body in a second, on the whole; before that it has STALL seconds
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
    """The middleware of a league's server. Requests count for the token that they show, once a route has told (`known`
    in the request's state) that it is good; until then for the address, or every made-up token had requests anew."""

    def __init__(self, app: ASGIApp, league: League) -> None:
        self._app, self._league, self._limits, self._rates = app, league, league.settings.limits, Rates()
        self._known: OrderedDict[str, None] = OrderedDict()  # digests of tokens that were good

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        scope.setdefault("state", {})
        shown = headers.get("x-auth-token") or headers.get("authorization")
        token = sha256(shown.encode()).hexdigest() if shown else ""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                if token and scope["state"].get("known"):
                    self._remember(token)
                _tell(MutableHeaders(scope=message), scope)
            await send(message)

        def refused(status: int, detail: str) -> Response:
            return refusal(Request(scope), self._league, status, detail)

        if wait := self._wait(scope, token):
            late = refused(429, f"too many requests; again in {int(wait) + 1} s")
            late.headers["Retry-After"] = str(int(wait) + 1)
            return await late(scope, receive, answer)
        most = self._most(scope["path"])
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 18 or int(length) > most:
            return await refused(413, f"at most {most:,} bytes")(scope, receive, answer)
        if "content-length" in headers and "transfer-encoding" in headers:  # a proxy may take it for two requests
            twice = refused(400, "a body has one length")
            twice.headers["Connection"] = "close"
            return await twice(scope, receive, answer)
        await self._app(scope, _bounded(receive, most), answer)

    def _most(self, path: str) -> int:
        if path.startswith(SENT_LARGE):
            return self._limits.upload_bytes + FORM_ROOM
        return MOST_RESULT if path.startswith(RESULTS) else self._limits.request_bytes

    def _wait(self, scope: Scope, token: str) -> float:
        address, limits, wait = _network(scope["client"][0] if scope.get("client") else ""), self._limits, 0.0
        if scope["method"] == "POST" and scope["path"] in GUESSED:
            wait = self._rates.wait("guess", address, limits.sign_ins_per_minute, 60)
        if scope["method"] == "POST" and scope["path"] in MADE:
            wait = self._rates.wait("make", address, limits.accounts_per_hour, 3600)
        caller = token if token in self._known else address
        return wait or self._rates.wait("ask", caller, limits.requests_per_minute, 60)

    def _remember(self, token: str) -> None:
        self._known[token] = None
        self._known.move_to_end(token)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)


def _network(address: str) -> str:
    """An address as limits count it: of IPv6 the network, in which one household has addresses without end."""
    try:
        place = ip_address(address)
    except ValueError:
        return address
    return f"{int(place) >> 64:x}/64" if isinstance(place, IPv6Address) and place.ipv4_mapped is None else address


class TooLongBodyError(HTTPException):
    """A body without a length that goes on and on."""

    def __init__(self) -> None:
        super().__init__(413, "the body is too long")


class TooSlowBodyError(HTTPException):
    """A body that does not come, or in drops."""

    def __init__(self) -> None:
        super().__init__(408, "the body did not come in time")


def _bounded(receive: Receive, most: int) -> Receive:
    """The body, up to so many bytes, each in its time."""
    size, more, begun = 0, True, time.monotonic()

    async def bounded() -> Message:
        nonlocal size, more
        if not more:  # what is still to come is the end of the connection
            return await receive()
        try:
            async with asyncio.timeout(STALL):
                message = await receive()
        except TimeoutError:
            raise TooSlowBodyError from None
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        if size > most:
            raise TooLongBodyError
        if more and size < SLOWEST * (time.monotonic() - begun - STALL):
            raise TooSlowBodyError
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
