"""Routes about seasons: what there is, who is in them, leaderboards and matches, and how to enter."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter

from metta.eval.match import Match as MatchSpec
from metta.league.problems import ConflictError, MissingError
from metta.league.published import Basis, Evidence
from metta.league.rating.published import Published
from metta.league.records import Result
from metta.league.server.answers import (
    HistoryEntry,
    LeaderboardLine,
    MatchInfo,
    SeasonEntry,
    SeasonInfo,
    SeasonSummary,
    SeasonVersion,
    Submission,
    Submitted,
)
from metta.league.server.asking import AnyCaller, AskedRoute, SignedIn, TheLeague, audit
from metta.league.server.uploads import bundle_of
from metta.league.store import matches, policies, results, seasons
from metta.league.store.schema import Id, Pool

router = APIRouter(prefix="/tournament", tags=["seasons"], route_class=AskedRoute)
MOST_IDS = 100
ENTRIES = TypeAdapter(list[SeasonEntry])
RESULTS = TypeAdapter(list[Result])


@router.get("/seasons")
def list_seasons(league: TheLeague, include_hidden: bool = False) -> list[SeasonSummary]:
    """Seasons that are open, the default one first."""
    with league.database.reading() as session:
        return [SeasonSummary.of(season) for season in seasons.list_seasons(session, include_hidden)]


@router.get("/seasons/{name}")
def show_season(league: TheLeague, name: str, include_hidden: bool = False) -> SeasonInfo:
    """A season: NAME, or NAME:vN for an earlier version."""
    with league.database.reading() as session:
        season = seasons.find_season(session, name)
        return SeasonInfo.detailed(season, *seasons.entrants(session, season), league.engine)


@router.get("/seasons/{name}/versions")
def season_versions(league: TheLeague, name: str) -> list[SeasonVersion]:
    """All versions of a season, newest first."""
    with league.database.reading() as session:
        return [SeasonVersion.of(season) for season in seasons.versions_of(session, name)]


@router.get("/seasons/{name}/leaderboard", response_model=list[LeaderboardLine])
async def leaderboard(request: Request, league: TheLeague, name: str, include_hidden: bool = False) -> Response:
    """Scores with their intervals, best first."""
    return await request.app.state.boards.answer(request, league, name)


@router.get("/seasons/{name}/policies", response_model=list[SeasonEntry])
def season_policies(
    league: TheLeague, caller: AnyCaller, name: str, mine: bool = False, include_hidden: bool = False
) -> Response:
    """Who is in a season, and in which of its pools; of one's own, why they were taken out of one."""
    with league.database.reading() as session:
        season = seasons.find_season(session, name)
        user_id = caller.user.id if caller and mine else None
        found = [] if mine and user_id is None else seasons.entries_of(session, season, user_id)
        own = [entries[0].id for entries in found] if mine else []
        reasons = seasons.why_retired(session, season, own) if own else {}
    return _json(ENTRIES.dump_json([SeasonEntry.of(entries, reasons) for entries in found]))


@router.post("/seasons/{name}/submissions")
def submit(request: Request, league: TheLeague, caller: SignedIn, name: str, submission: Submission) -> Submitted:
    """Enter a version of one's own. Who is in already stays in, which is no error."""
    with league.database.transaction() as session:
        season = seasons.find_season(session, name)
        version = policies.own_version(session, caller, submission.policy_version_id)
        entered = seasons.enter(session, caller, season, version)
        if not entered.already:
            audit(session, request, caller.user, "submit", f"{policies.label(version)} {season.name}")
    return Submitted(pools=entered.pools, already=entered.already, retired=entered.retired)


@router.get("/seasons/{name}/matches")
def season_matches(
    league: TheLeague,
    name: str,
    policy_version_ids: Annotated[list[Id] | None, Query(max_length=MOST_IDS)] = None,
    include_hidden: bool = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> list[MatchInfo]:
    """Matches of a season, those that ended last first, then those that have not ended: all, or of some versions."""
    with league.database.reading() as session:
        season = seasons.find_season(session, name)
        found = matches.list_matches(session, season, policy_version_ids, limit, offset)
        return [MatchInfo.of(match) for match in found]


@router.get("/seasons/{name}/basis", response_model=Basis)
def basis(league: TheLeague, name: str) -> Response:
    """What the leaderboard was computed from, but for the results, and what came of it: anybody can do it again."""
    with league.database.reading() as session:
        season = seasons.find_season(session, name)
        lines = seasons.leaderboard(session, season)
        published = Published(
            season=season.name,
            pool=season.pools[-1].name,
            score=seasons.settings_of(season).score,
            policies=tuple(sorted(str(line.version_id) for line in lines)),
            names={str(line.version_id): f"{line.name}:v{line.number}" for line in lines},
            results=(),
            standings=tuple(map(results.as_standing, lines)),
        )
    return _json(Basis(published=published, results=season.ranked_results).model_dump_json().encode())


@router.get("/seasons/{name}/results", response_model=list[Result])
def season_results(
    league: TheLeague,
    name: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    after: Annotated[Id | None, Query(description="match whose result was the last of the page before")] = None,
) -> Response:
    """Results that count for the leaderboard, in the order in which the matches ended."""
    with league.database.reading() as session:
        season = seasons.find_season(session, name)
        found = results.list_results(session, season.pools[-1], limit, after)
    return _json(RESULTS.dump_json(found))


@router.get("/matches/{match_id}/evidence")
def evidence(league: TheLeague, caller: SignedIn, match_id: Id, bundles: bool = True) -> Evidence:
    """All that a match followed from, to play it again: with the bundles, which are for their owner, or without."""
    with league.database.reading() as session:
        match = matches.get_match(session, match_id)
        if match.result_hash is None:
            raise ConflictError(f"match {match_id}: is {match.status}, there is nothing to play again")
        played_by = match.players if bundles else []
        versions = [policies.own_version(session, caller, player.version_id) for player in played_by]
        return Evidence(
            match=MatchSpec.model_validate(match.spec),
            result_hash=match.result_hash,
            scores=[player.scores or [] for player in match.players],
            bundles=[bundle_of(league, version) for version in versions],
            replays=[f"/matches/{match.id}/replay/{episode}/file" for episode in sorted(match.replays, key=int)],
        )


@router.get("/matches/{match_id}")
def show_match(league: TheLeague, match_id: Id) -> MatchInfo:
    """A match."""
    with league.database.reading() as session:
        return MatchInfo.of(matches.get_match(session, match_id))


@router.get("/configs/{config_id}")
def show_config(league: TheLeague, config_id: Id) -> dict[str, Any]:
    """What a pool plays: its season's missions; and how large the first is, as the original's client reads it."""
    with league.database.reading() as session:
        pool = session.get(Pool, config_id)
        if pool is None:
            raise MissingError(f"config {config_id}: there is none such")
        settings = seasons.settings_of(pool.season)
    missions = settings.build_missions()
    first = next(iter(missions.values()))
    return {
        "missions": [mission.model_dump(mode="json", exclude_defaults=True) for mission in missions.values()],
        "action_timeout_ms": settings.action_timeout_ms,
        "game": {"num_agents": first.agents, "max_steps": first.max_steps},
    }


@router.get("/policies/{version_id}/memberships")
def memberships(league: TheLeague, caller: AnyCaller, version_id: Id) -> list[HistoryEntry]:
    """What happened to a version in all its pools, oldest first; the reasons are told to its owner."""
    with league.database.reading() as session:
        owned = policies.owns(caller, policies.get_version(session, version_id))
        return [HistoryEntry.of(change, owned) for change in seasons.changes_of(session, version_id)]


@router.get("/my-memberships")
def my_memberships(league: TheLeague, caller: SignedIn) -> dict[str, list[str]]:
    """Seasons of each of one's own versions."""
    with league.database.reading() as session:
        found = seasons.seasons_by_version(session, caller.user.id)
        return {str(version_id): sorted({season.name for season in own}) for version_id, own in found.items()}


def _json(document: bytes) -> Response:
    """A long answer as it is: FastAPI would look at each of its parts twice."""
    return Response(document, media_type="application/json")
