"""Files behind http and https, read from any byte on."""

import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping

from metta.common.errors import UserError
from metta.policy.stored.sources.cache import LostConnectionError

CHUNK = 1 << 20
SECONDS = 30


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Keys stay with the server they are for; redirects lead to http and https only."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        _check_scheme(newurl)
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and urllib.parse.urlsplit(newurl).netloc != urllib.parse.urlsplit(req.full_url).netloc:
            new.remove_header("Authorization")
        return new


def read_from(url: str, start: int, headers: Mapping[str, str]) -> tuple[int, Iterator[bytes]]:
    """Where the answer starts (0 if the server cannot begin at `start`), and its chunks.

    Raise UserError when the server refuses, LostConnectionError when it does not answer.
    """
    _check_scheme(url)
    request = urllib.request.Request(url, headers={**headers, "Range": f"bytes={start}-"})
    try:
        answer = urllib.request.build_opener(_Redirects).open(request, timeout=SECONDS)
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise LostConnectionError(f"the server says {error.code} {error.reason}") from None
        raise UserError(f"{_shown(url)}: the server says {error.code} {error.reason}") from None
    except OSError as error:
        raise LostConnectionError(str(error)) from None
    return (start if answer.status == 206 else 0), _chunks(answer)


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        with answer:
            while chunk := answer.read1(CHUNK):
                yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise LostConnectionError(str(error) or type(error).__name__) from None


def _check_scheme(url: str) -> None:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise UserError(f"{_shown(url)}: neither http nor https")


def _shown(url: str) -> str:
    return url.partition("?")[0]  # what follows may sign the request
