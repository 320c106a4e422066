"""Leaderboards as they are sent: made once for each time that one is computed, and packed once."""

import gzip
import threading
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request, Response
from pydantic import TypeAdapter

from metta.league.league import League
from metta.league.server.answers import LeaderboardLine
from metta.league.store import seasons
from metta.league.store.schema import Id

LINES = TypeAdapter(list[LeaderboardLine])
MOST = 32  # leaderboards that are kept
LEVEL = 5  # of packing


@dataclass(frozen=True)
class _Board:
    computed: datetime | None
    plain: bytes
    packed: bytes


class Boards:
    """The leaderboards of a server's seasons."""

    def __init__(self) -> None:
        self._kept: dict[Id, _Board] = {}
        self._lock = threading.Lock()

    def answer(self, request: Request, league: League, name: str) -> Response:
        """The leaderboard of a season. Raises MissingError."""
        with league.database.reading() as session:
            season = seasons.find_season(session, name)
            board = self._kept.get(season.id)
            if board is None or board.computed != season.ranked_at:
                with self._lock:
                    board = self._kept.get(season.id)
                    if board is None or board.computed != season.ranked_at:
                        lines = [LeaderboardLine.of(line) for line in seasons.standings_of(session, season)]
                        plain = LINES.dump_json(lines)
                        board = _Board(season.ranked_at, plain, gzip.compress(plain, LEVEL))
                        self._keep(season.id, board)
        headers = {"Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(
                board.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type="application/json"
            )
        return Response(board.plain, headers=headers, media_type="application/json")

    def _keep(self, season_id: Id, board: _Board) -> None:
        self._kept.pop(season_id, None)
        while len(self._kept) >= MOST:
            self._kept.pop(next(iter(self._kept)))
        self._kept[season_id] = board
