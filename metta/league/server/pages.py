"""Pages for people: seasons with their leaderboards, policies, matches, and uploading."""

import uuid
from collections.abc import Sequence
from math import ceil
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response, UploadFile
from fastapi.responses import HTMLResponse
from markupsafe import Markup
from sqlalchemy import Row
from sqlalchemy.orm import Session

from metta.common.errors import UserError
from metta.league.accounts import Caller
from metta.league.league import League
from metta.league.names import check_policy_name
from metta.league.problems import MissingError, RefusedError, TooLongError
from metta.league.server.answers import status_of
from metta.league.server.asking import TheLeague, audit, own_address
from metta.league.server.figures import Course, Interval, Scale, course, interval, scale
from metta.league.server.html import Browser, FormRoute, Proven, SignedInBrowser, go, part, render
from metta.league.server.uploads import keep_bundle
from metta.league.store import history, matches, policies, seasons
from metta.league.store.schema import Id, Season
from metta.view.page import content_policy, replay_page

router = APIRouter(include_in_schema=False, route_class=FormRoute)
LINES = 100  # of a table on a page
RECENT = 10  # matches on the page of a season
FRESH, STALE, MOST = 0.5, 1.0, 64  # of the pages of seasons that are kept: seconds, and how many
Page = Annotated[int, Query(ge=1, le=1_000)]
Sort = Annotated[str, Query(pattern=f"^-?({'|'.join(seasons.ORDERS)})$")]


@router.get("/")
def home(request: Request, league: TheLeague, caller: Browser) -> Response:
    with league.database.reading() as session:
        found = seasons.list_seasons(session)
        shown = [(season, seasons.settings_of(season), status_of(season)) for season in found]
    shown.sort(key=lambda one: one[2] == "complete")
    return render(request, league, "home", caller, {"seasons": shown})


@router.get("/seasons/{name}")
async def season_page(
    request: Request, league: TheLeague, caller: Browser, name: str, page: Page = 1, sort: Sort = "rank"
) -> Response:
    server = own_address(request, league)
    title, body = await request.app.state.pages.get(
        (name, page, sort, server), lambda _: _season_body(league, name, page, sort, server)
    )
    if caller:
        body = body.replace(f'<tr data-by="{caller.user.name}">', Markup('<tr class="own">'))
    return render(request, league, "season", caller, {"title": title, "body": body})


def _season_body(league: League, name: str, page: int, sort: str, server: str) -> tuple[str, Markup]:
    """Title and body of a season's page, which are everybody's."""
    with league.database.reading() as session:
        season = seasons.find_season(session, name)
        pages = _pages(page, seasons.ranked(session, season))
        lines = seasons.leaderboard(session, season, sort, LINES, (page - 1) * LINES)
        wide = scale(lines)
        entrants, active = seasons.entrants(session, season)
        recent = matches.list_matches(session, season, limit=RECENT)
        settings = seasons.settings_of(season)
        values = {
            "season": season, "settings": settings, "status": status_of(season), "server": server,
            "versions": seasons.versions_of(session, season.name), "entrants": entrants, "active": active,
            "page": page, "pages": pages, "sort": sort, "scale": wide,
            "lines": _with_pictures(session, season, lines, wide),
            "recent": [match for match in recent if match.finished_at],
            "under_way": matches.under_way(session, season.pools),
        }  # fmt: skip
        return settings.display_name or season.name, part("season_body", values)


def _with_pictures(
    session: Session, season: Season, lines: Sequence[Row[Any]], wide: Scale
) -> list[tuple[Row[Any], Interval, Course | None]]:
    """Lines of a leaderboard, each with its interval on the scale of all, and the course of its rank."""
    points = history.newest_points(session, season.id, [line.version_id for line in lines])
    courses = {version_id: course(some, season.results) for version_id, some in points.items()}
    return [(line, interval(line, wide), courses.get(line.version_id)) for line in lines]


def _pages(page: int, lines: int) -> int:
    """Pages of a table with so many lines. Raises MissingError for a page that it has not."""
    pages = max(1, ceil(lines / LINES))
    if page > pages:
        raise MissingError(f"page {page}: {'there are' if pages > 1 else 'there is'} {pages}")
    return pages


@router.get("/seasons/{name}/matches")
def season_matches(request: Request, league: TheLeague, caller: Browser, name: str, page: Page = 1) -> Response:
    with league.database.reading() as session:
        season = seasons.find_season(session, name)
        found = matches.list_matches(session, season, None, LINES + 1, (page - 1) * LINES)
        values = {"season": season, "settings": seasons.settings_of(season), **_part(page, found)}
    return render(request, league, "matches", caller, values)


def _part(page: int, found: Sequence[Any]) -> dict[str, Any]:
    """A page of a table whose length nobody counts, of what was found from there on. Raises MissingError for one that
    is empty."""
    if page > 1 and not found:
        raise MissingError(f"page {page}: there are fewer")
    return {"page": page, "found": found[:LINES], "more": len(found) > LINES}


@router.get("/policies/{version_id}")
def policy_page(request: Request, league: TheLeague, caller: Browser, version_id: Id, page: Page = 1) -> Response:
    with league.database.reading() as session:
        version = policies.get_version(session, version_id)
        owned = policies.owns(caller, version)
        played = matches.matches_of(session, version_id, LINES + 1, (page - 1) * LINES)
        values = {
            "version": version,
            "owned": owned,
            "versions": policies.list_versions(session, version.policy.user, version.policy.name),
            "changes": seasons.changes_of(session, version_id),
            **_part(page, played),
            "rivals": matches.head_to_head(session, version_id),
            "logs": matches.logs_of(session, version_id, 5) if owned else [],
            "courses": [(name, course(*ranks)) for name, ranks in history.courses_of(session, version_id).items()],
        }
    return render(request, league, "policy", caller, values)


@router.get("/matches/{match_id}")
def match_page(request: Request, league: TheLeague, caller: Browser, match_id: Id) -> Response:
    with league.database.reading() as session:
        match = matches.get_match(session, match_id)
        logs = [
            (player, player.log) for player in match.players if policies.owns(caller, player.version) and player.log
        ]
    teams = any(player.team for player in match.players)
    return render(request, league, "match", caller, {"match": match, "logs": logs, "teams": teams})


@router.get("/matches/{match_id}/replay/{episode}")
def replay(request: Request, league: TheLeague, match_id: Id, episode: str) -> Response:
    """The viewer with the replay of an episode, for a frame of a page of ours."""
    data = _replay(league, match_id, episode)
    headers = {
        "Content-Security-Policy": f"{content_policy()}; frame-ancestors 'self'",
        "X-Frame-Options": "SAMEORIGIN",
    }
    return HTMLResponse(replay_page(data), headers=headers)


@router.get("/matches/{match_id}/replay/{episode}/file")
def replay_file(league: TheLeague, match_id: Id, episode: str) -> Response:
    """The replay of an episode, for `cogames replay`."""
    data = _replay(league, match_id, episode)
    name = f"{match_id}-{int(episode)}.replay"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type="application/octet-stream", headers=headers)


def _replay(league: League, match_id: Id, episode: str) -> bytes:
    with league.database.reading() as session:
        key = matches.get_match(session, match_id).replays.get(episode)
    try:
        return league.files.read(str(key))
    except FileNotFoundError:
        raise MissingError("there is no replay of this episode") from None


@router.get("/me")
def my_page(request: Request, league: TheLeague, caller: SignedInBrowser, page: Page = 1) -> Response:
    with league.database.reading() as session:
        found = policies.list_versions(session, caller.user, limit=LINES + 1, offset=(page - 1) * LINES)
        entered = seasons.seasons_by_version(session, caller.user.id)
        values = {**_part(page, found), "entered": entered, "seasons": _open_seasons(session)}
    return render(request, league, "me", caller, values)


@router.post("/me/submit")
def submit(
    request: Request,
    league: TheLeague,
    caller: Proven,
    version_id: Annotated[Id, Form()],
    season: Annotated[str, Form(max_length=100)],
) -> Response:
    with league.database.transaction() as session:
        found = seasons.find_season(session, season)
        version = policies.own_version(session, caller, version_id)
        if not seasons.enter(session, caller, found, version).already:
            audit(session, request, caller.user, "submit", f"{policies.label(version)} {found.name}")
    return go("/me")


@router.get("/upload")
def upload_page(request: Request, league: TheLeague, caller: SignedInBrowser) -> Response:
    return _upload_page(request, league, caller)


@router.post("/upload")
def upload(
    request: Request,
    league: TheLeague,
    caller: Proven,
    file: UploadFile,
    name: Annotated[str, Form(max_length=200)],
    season: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    try:
        check_policy_name(name)
        version_id = _take_in(request, league, caller, file, name, season)
    except UserError as error:
        status = error.status if isinstance(error, RefusedError) else 422
        return _upload_page(request, league, caller, name, season, str(error), status)
    return go(f"/policies/{version_id}")


def _take_in(request: Request, league: TheLeague, caller: Proven, file: UploadFile, name: str, season: str) -> Id:
    """The version that a file sent by a form becomes, entered in a season if one is named."""
    limits = league.settings.limits
    with league.database.transaction() as session:
        upload = policies.begin_upload(session, caller.user, limits)
        if season:
            seasons.find_season(session, season)
    if (file.size or 0) > limits.upload_bytes:
        raise TooLongError(f"{file.size:,} bytes; {limits.upload_bytes:,} are allowed")
    with league.checking:
        league.files.write(f"uploads/{upload.id}", file.file.read())
    version = keep_bundle(league, caller, upload, name)
    with league.database.transaction() as session:
        audit(session, request, caller.user, "upload", f"{policies.label(version)} {version.sha256}")
        if season:
            seasons.enter(session, caller, seasons.find_season(session, season), version)
    return uuid.UUID(str(version.id))


def _upload_page(
    request: Request, league: TheLeague, caller: Caller, name: str = "", chosen: str | None = None,
    problem: str = "", status: int = 200,
) -> Response:  # fmt: skip
    with league.database.reading() as session:
        values = {"problem": problem, "name": name, "chosen": chosen, "seasons": _open_seasons(session)}
    most = league.settings.limits.upload_bytes
    return render(request, league, "upload", caller, {**values, "most": most}, status)


def _open_seasons(session: Session) -> list[Season]:
    """Those that take entries, the default one first."""
    return [season for season in seasons.list_seasons(session) if status_of(season) != "complete"]


@router.get("/docs")
def interface(request: Request, league: TheLeague, caller: Browser) -> Response:
    """The interface for programs, from its OpenAPI document."""
    document = request.app.openapi()
    routes = [
        {"method": method.upper(), "path": path, **operation}
        for path, operations in sorted(document["paths"].items())
        for method, operation in operations.items()
    ]
    return render(request, league, "docs", caller, {"routes": routes})
