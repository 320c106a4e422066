"""What is made once for all who ask within a moment."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from itertools import count

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'league'")

from metta.league.server.kept import Kept

Ask = Callable[[str], Awaitable[int]]


def asking(kept: Kept[int]) -> Ask:
    """Asks for a key's value, which is a number that goes up each time that any is made."""
    numbers = count()

    async def ask(key: str) -> int:
        return await kept.get(key, lambda _: next(numbers))

    return ask


def test_those_who_ask_at_once_get_one_value():
    async def play() -> None:
        ask = asking(Kept(fresh=math.inf, stale=math.inf, most=9))
        assert await asyncio.gather(*map(ask, "a" * 50)) == [0] * 50
        assert [await ask("b"), await ask("a")] == [1, 0]

    asyncio.run(play())


def test_what_is_stale_is_made_anew_before_it_is_told():
    async def play() -> None:
        ask = asking(Kept(fresh=0, stale=0, most=9))
        assert [await ask("a") for _ in range(3)] == [0, 1, 2]

    asyncio.run(play())


def test_what_is_no_longer_fresh_is_told_while_it_is_made_anew():
    async def play() -> None:
        ask = asking(Kept(fresh=0, stale=math.inf, most=9))
        assert [await ask("a"), await ask("a")] == [0, 0]
        while await ask("a") == 0:
            await asyncio.sleep(0.001)

    asyncio.run(play())


def test_only_so_many_are_kept():
    async def play() -> None:
        ask = asking(Kept(fresh=math.inf, stale=math.inf, most=2))
        assert [await ask(key) for key in "abcb"] == [0, 1, 2, 1]
        assert await ask("a") == 3

    asyncio.run(play())


def test_what_cannot_be_made_is_told_to_all_and_tried_again():
    async def play() -> None:
        kept = Kept[int](fresh=math.inf, stale=math.inf, most=2)

        def fail(_: int | None) -> int:
            raise ZeroDivisionError

        found = await asyncio.gather(*(kept.get("a", fail) for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in found] == [ZeroDivisionError] * 3
        assert await kept.get("a", lambda _: 7) == 7

    asyncio.run(play())
