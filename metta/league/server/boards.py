"""Leaderboards as they are sent: made once for each time that one is computed, and packed once."""

import asyncio
import gzip
import threading
import time
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import TypeAdapter

from metta.league.league import League
from metta.league.server.answers import LeaderboardLine
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
        self._kept: dict[str, tuple[float, _Board]] = {}  # by the season's name: when it was looked at, and what it was
        self._lock = threading.Lock()

    async def answer(self, request: Request, league: League, name: str) -> Response:
        """The leaderboard of a season. Raises MissingError."""
        looked, board = self._kept.get(name, (0.0, None))
        age = time.monotonic() - looked
        if board is None or age > STALE:
            board = await run_in_threadpool(self._look, league, name)
        elif age > FRESH and not self._lock.locked():  # nobody waits for the new one
            self._looking = asyncio.create_task(run_in_threadpool(self._look, league, name))
        packed = "gzip" in request.headers.get("accept-encoding", "")
        headers = {"Vary": "Accept-Encoding", **({"Content-Encoding": "gzip"} if packed else {})}
        return Response(board.packed if packed else board.plain, headers=headers, media_type="application/json")

    def _look(self, league: League, name: str) -> _Board:
        """The leaderboard as it is now; of several that look at once one makes it."""
        with self._lock, league.database.reading() as session:
            looked, board = self._kept.get(name, (0.0, None))
            if board is None or time.monotonic() - looked > FRESH:
                season = seasons.find_season(session, name)
                if board is None or board.computed != season.ranked_at:
                    plain = LINES.dump_json(list(map(LeaderboardLine.of, seasons.leaderboard(session, season))))
                    board = _Board(season.ranked_at, plain, gzip.compress(plain, LEVEL))
                looked = time.monotonic()
            self._kept[name] = looked, board
            while len(self._kept) > MOST:
                self._kept.pop(next(iter(self._kept)))
            return board
