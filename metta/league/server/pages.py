"""Pages for people: seasons with their leaderboards, policies, matches, and uploading."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response, UploadFile
from fastapi.responses import HTMLResponse

from metta.common.errors import UserError
from metta.league.league import League
from metta.league.problems import MissingError, RefusedError, TooLongError
from metta.league.server.answers import status_of
from metta.league.server.asking import TheLeague, audit
from metta.league.server.figures import course, interval
from metta.league.server.html import Browser, FormRoute, Proven, SignedInBrowser, go, render
from metta.league.server.uploads import keep_bundle
from metta.league.store import history, matches, policies, seasons
from metta.league.store.schema import Id
from metta.view.page import content_policy, replay_page

router = APIRouter(include_in_schema=False, route_class=FormRoute)
LINES = 100  # of a table on a page
RECENT = 10  # matches on the page of a season
Page = Annotated[int, Query(ge=1, le=1_000_000)]


@router.get("/")
def home(request: Request, league: TheLeague, caller: Browser) -> Response:
    with league.database.reading() as session:
        found = seasons.list_seasons(session)
        shown = [(season, seasons.settings_of(season), status_of(season)) for season in found]
    return render(request, league, "home", caller, {"seasons": shown})


@router.get("/seasons/{name}")
def season_page(request: Request, league: TheLeague, caller: Browser, name: str, page: Page = 1) -> Response:
    with league.database.reading() as session:
        season = seasons.find_season(session, name)
        entrants, active = seasons.entrants(session, season)
        lines = seasons.page_of_standings(session, season, LINES, (page - 1) * LINES)
        values = {
            "season": season, "settings": seasons.settings_of(season), "status": status_of(season), "page": page,
            "entrants": entrants, "active": active, "more": len(lines) == LINES, "own": _own(caller, lines),
            "lines": [(line, interval(line, lines)) for line in lines],
            "recent": [match for match in matches.list_matches(session, season, limit=RECENT) if match.finished_at],
            "under_way": matches.under_way(session, season.pools),
        }  # fmt: skip
    return render(request, league, "season", caller, values)


def _own(caller: Browser, lines: list[Any]) -> set[Id]:
    """Versions among lines that are the caller's."""
    return {line.version_id for line in lines if caller and line.version.policy.user_id == caller.user.id}


@router.get("/policies/{version_id}")
def policy_page(request: Request, league: TheLeague, caller: Browser, version_id: Id) -> Response:
    with league.database.reading() as session:
        version = policies.get_version(session, version_id)
        owned = policies.owns(caller, version)
        values = {
            "version": version,
            "owned": owned,
            "versions": policies.list_versions(session, version.policy.user, version.policy.name),
            "changes": seasons.changes_of(session, version_id),
            "played": matches.matches_of(session, version_id, LINES),
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
    return render(request, league, "match", caller, {"match": match, "logs": logs})


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
def my_page(request: Request, league: TheLeague, caller: SignedInBrowser) -> Response:
    with league.database.reading() as session:
        found = policies.list_versions(session, caller.user, limit=LINES)
        names = seasons.seasons_by_version(session, caller.user.id)
        open_seasons = [season.name for season in seasons.list_seasons(session)]
    return render(request, league, "me", caller, {"versions": found, "names": names, "seasons": open_seasons})


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
        if seasons.enter(session, caller, found, version)[1]:
            audit(session, request, caller.user, "submit", f"{policies.label(version)} {found.name}")
    return go("/me")


@router.get("/upload")
def upload_page(request: Request, league: TheLeague, caller: SignedInBrowser) -> Response:
    return render(request, league, "upload", caller, {"problem": "", "name": "", **_open_seasons(league)})


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
        policies.check_name(name)
        version_id = _take_in(request, league, caller, file, name, season)
    except UserError as error:
        status = error.status if isinstance(error, RefusedError) else 422
        values = {"problem": str(error), "name": name, **_open_seasons(league)}
        return render(request, league, "upload", caller, values, status)
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


def _open_seasons(league: TheLeague) -> dict[str, Any]:
    with league.database.reading() as session:
        return {"seasons": [season.name for season in seasons.list_seasons(session)]}


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
