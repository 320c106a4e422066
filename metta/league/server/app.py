"""The web application of a league: its routes, and how what goes wrong is told."""

import logging
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from metta.common.errors import UserError
from metta.common.settings import short_repr
from metta.league.accounts import Caller
from metta.league.league import League
from metta.league.problems import NoSpaceError, NotSignedInError, RefusedError
from metta.league.server import accounts, answers, pages, tournament, uploads, work
from metta.league.server.boards import Boards
from metta.league.server.guard import Guard
from metta.league.server.html import PAGES, browser, here, refusal, wants_page
from metta.league.server.kept import Kept

LOG = logging.getLogger("uvicorn.error")
FULL = {"SQLITE_FULL", "53100"}  # as the databases say that no space is left
STATUSES = (400, 401, 403, 404, 409, 413, 422, 429, 503, 507)
ERRORS = {status: {"model": answers.Error} for status in STATUSES}


def make_app(league: League) -> FastAPI:
    """The application that serves a league."""
    app = FastAPI(
        title="CoGames league", version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json",
        responses={**ERRORS},
    )  # fmt: skip
    app.state.league, app.state.boards = league, Boards()
    app.state.pages = Kept(pages.FRESH, pages.STALE, pages.MOST)
    for router in (accounts.router, uploads.router, tournament.router, work.router, accounts.pages, pages.router):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=str(PAGES / "static")))
    app.add_middleware(Guard, league=league)
    app.add_exception_handler(UserError, _user_error)
    app.add_exception_handler(RequestValidationError, _bad_value)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(IntegrityError, lambda request, error: _told(request, 409, "made twice at once; again"))
    app.add_exception_handler(DataError, lambda request, error: _told(request, 422, "a value that no database holds"))
    for down in (DBAPIError, PoolTimeoutError):
        app.add_exception_handler(down, _database_down)
    return app


def _user_error(request: Request, error: Exception) -> Response:
    if isinstance(error, NotSignedInError) and request.method == "GET" and wants_page(request):
        return RedirectResponse(f"/sign-in?next={quote(here(request), safe='')}", 303)
    status = error.status if isinstance(error, RefusedError) else 422
    answer = _told(request, status, str(error))
    if isinstance(error, RefusedError) and error.wait:
        answer.headers["Retry-After"] = str(int(error.wait) + 1)
    return answer


def _bad_value(request: Request, error: Exception) -> Response:
    """The first wrong value of a request, in one line."""
    assert isinstance(error, RequestValidationError)
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0])
    value = problem.get("input")
    shown = "" if value is None or isinstance(value, dict | list | bytes) else f"={short_repr(value)}"
    return _told(request, 422, f"{where}{shown}: {problem['msg']}")


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    nowhere = error.status_code == 404 and error.detail == "Not Found"
    answer = _told(request, error.status_code, f"there is nothing at {request.url.path}" if nowhere else error.detail)
    answer.headers.update(error.headers or {})
    return answer


def _database_down(request: Request, error: Exception) -> Response:
    reason = getattr(error, "orig", None)
    if FULL & {getattr(reason, "sqlite_errorname", ""), getattr(reason, "sqlstate", "")}:
        return _user_error(request, NoSpaceError())
    LOG.warning("%s %s: %s", request.method, request.url.path, " ".join(str(error).split()))
    detail = "the league's database does not answer; try again in a moment"
    answer = refusal(request, request.app.state.league, 503, detail)
    answer.headers["Retry-After"] = "2"
    return answer


def _told(request: Request, status: int, detail: str) -> Response:
    return refusal(request, request.app.state.league, status, detail, _caller(request))


def _caller(request: Request) -> Caller | None:
    """Who is signed in, for the head of a page; nobody where the database does not tell."""
    try:
        return browser(request, request.app.state.league) if wants_page(request) else None
    except (DBAPIError, PoolTimeoutError):
        return None
