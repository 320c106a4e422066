"""Pages for people: seasons, leaderboards, policies, matches, and uploading."""

from fastapi import APIRouter, Request, Response

from metta.league.server.asking import TheLeague
from metta.league.server.html import Browser, render
from metta.league.store import seasons

router = APIRouter(include_in_schema=False)


@router.get("/")
def home(request: Request, league: TheLeague, caller: Browser) -> Response:
    with league.database.reading() as session:
        found = seasons.list_seasons(session)
        shown = [(season, seasons.settings_of(season)) for season in found]
    return render(request, league, "home", caller, {"seasons": shown})
