"""Routes about who one is: signing in with a browser, tokens for programs, and the call-back of `cogames login`."""

import re
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode, urlsplit

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from metta.common.errors import UserError
from metta.league import accounts
from metta.league.league import League
from metta.league.problems import BadRequestError, ForbiddenError, MissingError
from metta.league.server.asking import AnyCaller, SignedIn, TheLeague, audit, need_user, own_address
from metta.league.server.html import (
    COOKIE,
    Browser,
    OwnForm,
    Proven,
    SignedInBrowser,
    go,
    is_https,
    local,
    render,
    set_session,
)
from metta.league.store.schema import Id

if TYPE_CHECKING:
    from metta.league.oidc import Provider

router = APIRouter(tags=["accounts"])
pages = APIRouter(include_in_schema=False)
CALLED_BACK, ASKED = "/sign-in/callback", "cogames_asked"  # from a provider, and the cookie that it must match
CALLBACK = re.compile(r"/[A-Za-z0-9/_-]{0,100}")
Text = Annotated[str, Form(max_length=200)]
Address = Annotated[str, Form(max_length=2000)]


@router.get("/whoami")
def whoami(caller: SignedIn) -> dict[str, Any]:
    """Whom the token is of."""
    user = caller.user
    return {"user_email": user.email or user.name, "user": user.name, "scope": caller.token.scope, "admin": user.admin}


@router.get("/api/validate")
def validate(caller: AnyCaller) -> dict[str, Any]:
    """Whether a token is good, for other servers of the league."""
    user = need_user(caller).user
    return {"valid": True, "user": {"id": str(user.id), "name": user.name, "email": user.email or user.name}}


@pages.get("/sign-in")
def sign_in_page(request: Request, league: TheLeague, caller: Browser, next: str = "/") -> Response:
    return RedirectResponse(local(next), 303) if caller else _sign_in_page(request, league, next)


def _sign_in_page(
    request: Request, league: League, next: str, name: str = "", problem: str = "", status: int = 200
) -> Response:
    values = {
        "next": local(next), "here": local(next), "problem": problem, "name": name,
        "open": league.settings.registration == "open",
        "provider": league.provider.name if league.provider else "",
    }  # fmt: skip
    return render(request, league, "sign_in", None, values, status)


@pages.post("/sign-in", dependencies=[OwnForm])
def sign_in(request: Request, league: TheLeague, name: Text, password: Text, next: Address = "/") -> Response:
    with league.database.reading() as session:
        user = accounts.sign_in(session, name, password)
    if user is None:
        with league.database.transaction() as session:
            audit(session, request, None, "sign-in refused", name)
        return _sign_in_page(request, league, next, name, "name or password is wrong", 401)
    with league.database.transaction() as session:
        token = accounts.issue_token(session, user, "browser")
        audit(session, request, user, "sign-in")
    return set_session(go(local(next)), request, token)


@pages.post("/sign-up", dependencies=[OwnForm])
def sign_up(request: Request, league: TheLeague, name: Text, password: Text, next: Address = "/") -> Response:
    if league.settings.registration != "open":
        raise ForbiddenError("accounts are made by the league's keeper only")
    try:
        with league.database.transaction() as session:
            user = accounts.add_user(session, name, password)
            token = accounts.issue_token(session, user, "browser")
            audit(session, request, user, "sign-up")
    except UserError as error:
        return _sign_in_page(request, league, next, name, str(error), 422)
    return set_session(go(local(next)), request, token)


@pages.get("/sign-in/provider")
def to_provider(request: Request, league: TheLeague, next: Annotated[str, Query(max_length=2000)] = "/") -> Response:
    """Leads to where people sign in elsewhere."""
    provider = _provider(league)
    address, kept = provider.begin(own_address(request, league) + CALLED_BACK, local(next))
    response = go(address)
    response.set_cookie(ASKED, kept, **_asked_cookie(request))
    return response


@pages.get(CALLED_BACK)
def from_provider(request: Request, league: TheLeague) -> Response:
    """Where the provider leads a browser back to."""
    provider, kept = _provider(league), request.cookies.get(ASKED)
    identity, next = provider.finish(own_address(request, league) + CALLED_BACK, request.query_params, kept)
    with league.database.transaction() as session:
        user = accounts.user_at_provider(session, identity, make=league.settings.registration != "closed")
        token = accounts.issue_token(session, user, "browser")
        audit(session, request, user, "sign-in", f"at {identity.issuer}")
    response = set_session(go(local(next)), request, token)
    response.delete_cookie(ASKED, **_asked_cookie(request))
    return response


def _provider(league: League) -> "Provider":
    if league.provider is None:
        raise MissingError("one signs in here only")
    return league.provider


def _asked_cookie(request: Request) -> dict[str, Any]:
    """Of what a browser remembers while it is at the provider, which leads it back: so not `strict`."""
    return {"path": CALLED_BACK, "httponly": True, "samesite": "lax", "secure": is_https(request)}


@pages.post("/sign-out")
def sign_out(request: Request, league: TheLeague, caller: Proven) -> Response:
    with league.database.transaction() as session:
        accounts.revoke(session, caller.user, caller.token.id)
        audit(session, request, caller.user, "sign-out")
    response = go("/")
    response.delete_cookie(COOKIE)
    return response


@pages.get("/tokens/cli")
def cli_page(request: Request, league: TheLeague, caller: Browser, callback: str) -> Response:
    """Where `cogames login` leads: who is signed in gives the program on this machine a token."""
    origin, _ = split_callback(callback)
    if caller is None:
        back = f"/tokens/cli?{urlencode({'callback': callback})}"
        return RedirectResponse(f"/sign-in?next={quote(back, safe='')}", 303)
    request.state.form_action = origin  # the answer to the form leads there
    return render(request, league, "cli", caller, {"callback": callback, "origin": origin})


@pages.post("/tokens/cli")
def cli(request: Request, league: TheLeague, caller: Proven, callback: Address) -> Response:
    origin, path = split_callback(callback)
    with league.database.transaction() as session:
        token = accounts.issue_token(
            session, caller.user, "user", "cogames login", league.settings.limits.tokens_per_user
        )
        audit(session, request, caller.user, "token", "cogames login")
    return go(f"{origin}{path}?{urlencode({'token': token})}")


def split_callback(address: str) -> tuple[str, str]:
    """Origin and path of where a token may be sent: a port of the machine that the browser runs on. Raises
    BadRequestError for anything else."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = not (parts.query or parts.fragment or parts.username is not None or parts.password is not None)
    near = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
    if not (near and plain and port and CALLBACK.fullmatch(parts.path)):
        raise BadRequestError("callback: only http://127.0.0.1:PORT/… or http://localhost:PORT/… gets a token")
    return f"http://{parts.hostname}:{port}", parts.path


@pages.get("/tokens")
def tokens_page(request: Request, league: TheLeague, caller: SignedInBrowser) -> Response:
    with league.database.reading() as session:
        found = accounts.tokens_of(session, caller.user)
    return render(request, league, "tokens", caller, {"tokens": found, "new": ""})


@pages.post("/tokens")
def new_token(request: Request, league: TheLeague, caller: Proven, label: Text = "") -> Response:
    with league.database.transaction() as session:
        token = accounts.issue_token(session, caller.user, "user", label, league.settings.limits.tokens_per_user)
        audit(session, request, caller.user, "token", label)
        found = accounts.tokens_of(session, caller.user)
    return render(request, league, "tokens", caller, {"tokens": found, "new": token})


@pages.post("/tokens/{token_id}/revoke")
def revoke(request: Request, league: TheLeague, caller: Proven, token_id: Id) -> Response:
    with league.database.transaction() as session:
        if not accounts.revoke(session, caller.user, token_id):
            raise MissingError("there is no such token")
        audit(session, request, caller.user, "revoke", token_id)
    return go("/tokens")
