"""Leaderboards as they are sent: made once for each time that one is computed, and packed once."""

import gzip
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from fastapi import Request, Response
from pydantic import TypeAdapter

from metta.league.league import League
from metta.league.server.answers import LeaderboardLine
from metta.league.server.kept import Kept
from metta.league.store import seasons

LINES = TypeAdapter(list[LeaderboardLine])
MOST = 32  # leaderboards that are kept
FRESH, STALE = 0.5, 5.0  # seconds: until one is looked at again; and until readers wait for that
LEVEL = 5  # of packing


@dataclass(frozen=True)
class _Board:
    computed: datetime | None
    plain: bytes
    packed: bytes


class Boards:
    """The leaderboards of a server's seasons."""

    def __init__(self) -> None:
        self._kept = Kept[_Board](FRESH, STALE, MOST)

    async def answer(self, request: Request, league: League, name: str) -> Response:
        """The leaderboard of a season. Raises MissingError."""
        board = await self._kept.get(name, partial(_look, league, name))
        packed = "gzip" in request.headers.get("accept-encoding", "")
        headers = {"Vary": "Accept-Encoding", **({"Content-Encoding": "gzip"} if packed else {})}
        return Response(board.packed if packed else board.plain, headers=headers, media_type="application/json")


def _look(league: League, name: str, board: _Board | None) -> _Board:
    """The leaderboard as it is now, if it is another one."""
    with league.database.reading() as session:
        season = seasons.find_season(session, name)
        if board is not None and board.computed == season.ranked_at:
            return board
        plain = LINES.dump_json(list(map(LeaderboardLine.of, seasons.leaderboard(session, season))))
        return _Board(season.ranked_at, plain, gzip.compress(plain, LEVEL))
