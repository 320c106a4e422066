"""A match at the pace of its watchers."""

import base64
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from metta.eval.replay.file import parse_replay
from metta.view.live import LiveMatch, Wish
from tests.view.conftest import make_match


@pytest.fixture
def live() -> Iterator[LiveMatch]:
    match = LiveMatch(make_match("noop", steps=60), playing=False)
    match.start()
    yield match
    match.close()


def wait_for(live: LiveMatch, step: int) -> None:
    end = time.monotonic() + 10
    while live.match.step < step:
        assert time.monotonic() < end
        time.sleep(0.005)


def heard(live: LiveMatch) -> list[dict[str, Any]]:
    """All news until the end."""
    return [news for news in live.news() if news]


def test_paused_it_plays_what_is_asked_for(live: LiveMatch):
    time.sleep(0.1)
    assert live.match.step == 0
    live.wish(Wish(step=True))
    wait_for(live, 1)
    time.sleep(0.1)
    assert live.match.step == 1


def test_it_plays_at_the_pace_that_is_asked_for(live: LiveMatch):
    live.wish(Wish(playing=True, speed=4.0))
    start = time.monotonic()
    wait_for(live, 20)
    assert 0.3 < time.monotonic() - start < 5  # 32 steps per second


def test_a_watcher_who_comes_late_hears_everything(live: LiveMatch):
    live.wish(Wish(playing=True, speed=64.0))
    wait_for(live, 60)
    first, *rest = heard(live)
    deltas = [base64.b64decode(delta) for news in rest for delta in news["deltas"]]
    assert deltas == live.match.recorder.deltas[1:] and len(deltas) == 60
    assert first["header"]["max_steps"] == 60 and rest[-1]["ended"] and not rest[-1]["error"]


def test_an_agent_that_was_taken_over_does_what_it_is_told_and_else_nothing(live: LiveMatch):
    east = live.match.recorder.header.actions.index("move_east")
    live.wish(Wish(agent=2))
    for step, action in enumerate((east, None, east), 1):
        live.wish(Wish(step=True) if action is None else Wish(action=action))
        wait_for(live, step)
    replay = parse_replay(live.to_bytes(), "live")
    actions = [replay.state(step)[: 8 * replay.header.agent_width].reshape(8, -1)[2, 3] for step in (1, 2, 3)]
    assert actions == [east, 0, east]


def test_an_agent_is_given_back_when_the_last_watcher_leaves(live: LiveMatch):
    watchers = live.news(), live.news()
    for watcher in watchers:
        next(watcher)
    live.wish(Wish(agent=2))
    watchers[0].close()
    assert live._agent == 2
    watchers[1].close()
    assert live._agent is None


def test_a_policy_that_fails_ends_the_match_and_is_named(live: LiveMatch):
    def fail(observations: np.ndarray) -> np.ndarray:
        raise ValueError("no idea")

    live.match.policy.step = fail
    live.wish(Wish(playing=True))
    last = heard(live)[-1]
    assert last["ended"] and last["error"] == "the policy failed: ValueError: no idea"
