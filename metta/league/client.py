"""Talking to a league's server. Needs nothing but Python: who only uploads installs no server."""

import http.client
import json
import re
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from metta.common.errors import UserError

SECONDS = 30
UPLOAD_SECONDS = 600
MOST = 1 << 28  # bytes of an answer
MOST_FILE = 1 << 30  # bytes of a file; more than a league takes
PLAIN = re.compile(r"[!-~]*")  # a path as it is sent


class ServerError(UserError):
    """The server refused, for a reason that is told word for word."""

    exit_code = 1

    def __init__(self, status: int, detail: str, wait: float = 0) -> None:
        super().__init__(detail)
        self.status, self.wait = status, wait


class NoAnswerError(UserError):
    """The server is not there, or did not answer in time."""

    exit_code = 1


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token goes to the server that was named, and to no other."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


OPENER = urllib.request.build_opener(_NoRedirects)


class Client:
    """A league's server, asked with a token or without."""

    def __init__(self, server: str, token: str | None = None) -> None:
        """Raises UserError for what is no address."""
        self.server, self._token = check_server(server), token

    def get(self, path: str, **query: Any) -> Any:
        """What the server answers. Raises ServerError, NoAnswerError."""
        given = {key: value for key, value in query.items() if value is not None}
        return self._json("GET", f"{path}?{urlencode(given, doseq=True)}" if given else path)

    def post(self, path: str, document: Any = None) -> Any:
        """As `get`."""
        return self._json("POST", path, {} if document is None else document)

    def put_file(self, address: str, path: Path, kind: str = "application/zip") -> None:
        """Send a file to an address that the server gave."""
        with open(path, "rb") as file:
            headers = {"Content-Type": kind, "Content-Length": str(path.stat().st_size)}
            self._send(urllib.request.Request(self._whole(address), file, headers, method="PUT"), UPLOAD_SECONDS)

    def get_file(self, address: str) -> bytes:
        """A file at an address that the server gave."""
        return self._send(urllib.request.Request(self._whole(address)), UPLOAD_SECONDS, MOST_FILE)

    def _json(self, method: str, path: str, document: Any = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        headers = {"Accept": "application/json", "Content-Type": "application/json", "Accept-Encoding": "gzip"}
        if self._token:
            headers["X-Auth-Token"] = self._token
        answer = self._send(urllib.request.Request(self._whole(path), data, headers, method=method), SECONDS)
        try:
            return json.loads(answer)
        except ValueError:
            raise NoAnswerError(f"{self.server}: answers, but is no league") from None

    def _send(self, request: urllib.request.Request, seconds: float, most: int = MOST) -> bytes:
        try:
            with OPENER.open(request, timeout=seconds) as answer:
                data = answer.read(most)
                return _unpacked(data, most) if answer.headers["Content-Encoding"] == "gzip" else data
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None
        except (OSError, http.client.HTTPException, zlib.error) as error:
            reason = getattr(error, "reason", None) or error
            raise NoAnswerError(f"{self.server}: does not answer ({reason})") from None

    def _whole(self, address: str) -> str:
        if address.startswith("/"):
            return self.server + address
        if not address.startswith(("http://", "https://")):
            raise NoAnswerError(f"{self.server}: answers, but is no league")
        return address


def _unpacked(data: bytes, most: int) -> bytes:
    """What was packed by gzip, up to so many bytes."""
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, most)


def check_server(address: str) -> str:
    """The address of a server, without the / at its end. Raises UserError for what is none."""
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").encode("idna")  # and its port is a number:
        seen = address.isprintable() and " " not in address
        good = parts.scheme in ("http", "https") and host and parts.port != 0 and seen
    except ValueError:
        parts, good = urlsplit(""), False
    if not good or "@" in parts.netloc or parts.query or parts.fragment or not PLAIN.fullmatch(parts.path):
        raise UserError(f"--server {address.rpartition('@')[2]}: an address is http://HOST:PORT or https://HOST")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}".rstrip("/")


def _refusal(error: urllib.error.HTTPError) -> ServerError:
    body = error.read(100_000)
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        place = urlsplit(error.url)
        elsewhere = f" ({error.headers['Location']})" if error.headers["Location"] else ""
        detail = f"{place.scheme}://{place.netloc}: says {error.code} {error.reason}{elsewhere}"
    wait = error.headers.get("Retry-After", "0")
    return ServerError(error.code, str(detail), float(wait) if wait.isdecimal() else 0)
