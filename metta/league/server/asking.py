"""Who asks: the dependencies by which the routes know the league, the caller and what it may do."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from sqlalchemy.orm import Session

from metta.league import accounts
from metta.league.accounts import Caller
from metta.league.league import League
from metta.league.problems import ForbiddenError, NotSignedInError
from metta.league.store import trail
from metta.league.store.schema import Token, User, now

HEADER = APIKeyHeader(name="X-Auth-Token", auto_error=False, description="a token of `cogames login`")


async def get_league(request: Request) -> League:
    """The league that the server serves. (Not in a thread: it waits for nothing.)"""
    return request.app.state.league


TheLeague = Annotated[League, Depends(get_league)]


def find_caller(
    request: Request,
    league: TheLeague,
    shown: Annotated[str | None, Depends(HEADER)],
    authorization: Annotated[str | None, Header()] = None,
) -> Caller | None:
    """Who shows a token; None for one who shows none. Raises NotSignedInError for a token that is not good."""
    text = shown or (authorization or "").removeprefix("Bearer ").strip()
    if not text:
        return None
    caller = known(league, text)
    request.state.known = True
    return caller


class AskedRoute(APIRoute):
    """A route that knows who asks before it reads what is sent: strangers send nothing to be parsed."""

    def who(self, request: Request) -> Caller | None:
        league, headers = request.app.state.league, request.headers
        return find_caller(request, league, headers.get("x-auth-token"), headers.get("authorization"))

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def know_first(request: Request) -> Response:
            if await run_in_threadpool(self.who, request) is None:
                raise NotSignedInError
            return await handle(request)

        return handle if self.body_field is None else know_first


def known(league: League, text: str) -> Caller:
    """Who a token is of. Raises NotSignedInError."""
    with league.database.reading() as session:
        caller = accounts.who(session, text)
    if caller is None:
        raise NotSignedInError("the token is unknown, over or taken back: cogames login --force")
    if accounts.touch(caller.token):
        with league.database.transaction() as session:
            session.query(Token).filter(Token.id == caller.token.id).update({"used_at": now()})
    return caller


AnyCaller = Annotated[Caller | None, Depends(find_caller)]


def need_user(caller: AnyCaller) -> Caller:
    """Somebody who acts for an account. Raises NotSignedInError, ForbiddenError."""
    if caller is None:
        raise NotSignedInError
    if caller.token.scope not in ("user", "admin"):
        raise ForbiddenError(
            f"a {caller.token.scope} token does not act for an account: cogames login gives one that does"
        )
    return caller


def need_worker(caller: AnyCaller) -> Caller:
    """A worker. Raises NotSignedInError, ForbiddenError."""
    if caller is None:
        raise NotSignedInError("a worker shows a token: cogames league user token NAME --scope worker")
    if caller.token.scope != "worker":
        raise ForbiddenError("only a worker's token gets work")
    return caller


SignedIn = Annotated[Caller, Depends(need_user)]
Worker = Annotated[Caller, Depends(need_worker)]


def own_address(request: Request, league: League) -> str:
    """The server's address, as the caller knows it."""
    return (league.settings.address or str(request.base_url)).rstrip("/")


def audit(session: Session, request: Request, user: User | None, action: str, subject: object = "") -> None:
    """Write down who did what, from where."""
    trail.write(session, user, action, subject, request.client.host if request.client else "")
