"""Pages: templates, the browser that is signed in, and forms that only our own pages may send."""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from fastapi import Depends, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from metta.common.errors import printable
from metta.league.accounts import Caller
from metta.league.league import League
from metta.league.problems import ForbiddenError, NotSignedInError
from metta.league.server.asking import AskedRoute, TheLeague, known, own_address
from metta.league.settings import SESSION_TIME

COOKIE = "cogames_session"
PAGES = files("metta.league").joinpath("pages")
NUMBER = "{:z.2f}".format  # a score, without a minus where it is 0.00
TEMPLATES = Environment(
    loader=FileSystemLoader(str(PAGES)),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters["number"] = NUMBER


def browser(request: Request, league: TheLeague) -> Caller | None:
    """Who is signed in in this browser, if anybody."""
    text = request.cookies.get(COOKIE)
    try:
        caller = known(league, text) if text else None
    except NotSignedInError:
        return None
    return caller if caller and caller.token.scope == "browser" else None


Browser = Annotated[Caller | None, Depends(browser)]


class FormRoute(AskedRoute):
    """A route for forms of those who are signed in."""

    def who(self, request: Request) -> Caller | None:
        return browser(request, request.app.state.league)


def signed_in(caller: Browser) -> Caller:
    """Who is signed in. Raises NotSignedInError, which leads a browser to the page where one signs in."""
    if caller is None:
        raise NotSignedInError("sign in first")
    return caller


SignedInBrowser = Annotated[Caller, Depends(signed_in)]


def own_form(request: Request, league: TheLeague) -> None:
    """Raises ForbiddenError for a form that a page of somebody else has sent."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    hosts = {request.headers.get("host", ""), _parts(league.settings.address or "").netloc}
    if site not in (None, "same-origin", "none") or (origin and _parts(origin).netloc not in hosts - {""}):
        raise ForbiddenError("the form was sent by a page of another site")


OwnForm = Depends(own_form)


def form_proof(league: League, caller: Caller) -> str:
    """What forms for somebody carry, which no other site can know."""
    return hmac.new(league.forms_key, caller.token.hash.encode(), sha256).hexdigest()


def proven(
    league: TheLeague, caller: SignedInBrowser, proof: Annotated[str, Form(max_length=100)], _: Annotated[None, OwnForm]
) -> Caller:
    """Who sends a form of our own. Raises ForbiddenError for any other form."""
    if not hmac.compare_digest(form_proof(league, caller).encode(), proof.encode()):
        raise ForbiddenError("the form is of an earlier sign-in: load the page again")
    return caller


Proven = Annotated[Caller, Depends(proven)]


def render(
    request: Request, league: League, name: str, caller: Caller | None, values: Mapping[str, Any], status: int = 200
) -> HTMLResponse:
    """A page."""
    shown = {
        "caller": caller, "proof": form_proof(league, caller) if caller else "", "path": request.url.path,
        "here": here(request), "server": own_address(request, league),
    }  # fmt: skip
    return HTMLResponse(TEMPLATES.get_template(f"{name}.html").render({**shown, **values}), status)


def part(name: str, values: Mapping[str, Any]) -> Markup:
    """A part of a page."""
    return Markup(TEMPLATES.get_template(f"{name}.html").render(values))


def refusal(request: Request, league: League, status: int, detail: str, caller: Caller | None = None) -> Response:
    """What was wrong, in one line: as a page for browsers, else as JSON."""
    if wants_page(request):
        return render(request, league, "error", caller, {"status": status, "detail": printable(detail)}, status)
    return JSONResponse({"detail": printable(detail)}, status)


def wants_page(request: Request) -> bool:
    """Whether a browser asks, not a program."""
    return "text/html" in request.headers.get("accept", "")


def here(request: Request) -> str:
    """Where a browser comes back to after a sign-in: the page that it shows, or the first one after a form."""
    if request.method != "GET":
        return "/"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def local(address: str) -> str:
    """A path of this server, to go to after a sign-in; / for whatever else."""
    parts = _parts(address)
    inner = parts.path.startswith("/") and not address.startswith("//") and not (parts.scheme or parts.netloc)
    return address if inner and address.isprintable() and "\\" not in address else "/"


def _parts(address: str) -> SplitResult:
    """The parts of an address; none of what is no address."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def go(address: str) -> RedirectResponse:
    """Lead a browser on, after a form."""
    return RedirectResponse(address, 303)


def set_session(response: RedirectResponse, request: Request, token: str) -> RedirectResponse:
    """Sign a browser in."""
    seconds, safe = int(SESSION_TIME.total_seconds()), is_https(request)
    response.set_cookie(COOKIE, token, max_age=seconds, httponly=True, samesite="lax", secure=safe)
    return response


def is_https(request: Request) -> bool:
    """Whether browsers reach this server by HTTPS, perhaps through a proxy: then cookies are for that alone."""
    return own_address(request, request.app.state.league).startswith("https:")
