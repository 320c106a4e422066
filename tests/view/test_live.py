"""A match at the pace of its watchers."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from metta.common.errors import UserError
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
    news = heard(live)
    first, last = news[0], news[-1]
    deltas = [base64.b64decode(delta) for each in news for delta in each["deltas"]]
    assert deltas == live.match.recording.deltas[1:] and len(deltas) == 60
    assert json.loads(first["header"])["max_steps"] == 60 and last["ended"] and not last["error"]


def test_the_first_news_hold_all_that_was_played_before(live: LiveMatch):
    for step in range(1, 4):
        live.wish(Wish(step=True))
        wait_for(live, step)
    watcher = live.news()
    first = next(watcher)
    assert first and len(first["deltas"]) == 3
    watcher.close()


def test_only_the_watcher_who_holds_the_controls_is_obeyed(live: LiveMatch):
    watchers = live.news(), live.news()
    first, second = (next(watcher) for watcher in watchers)
    assert first and second and (first["holds"], second["holds"]) == (True, False)
    for stranger in (second["watcher"], 99, None):
        with pytest.raises(UserError, match="another page holds the controls"):
            live.wish(Wish(watcher=stranger, step=True))
    live.wish(Wish(watcher=second["watcher"], ask=True))
    live.wish(Wish(watcher=first["watcher"], give=True))
    assert (news := next(watchers[1])) and news["holds"] and not news["asking"]
    live.wish(Wish(watcher=second["watcher"], step=True))
    wait_for(live, 1)
    for watcher in watchers:
        watcher.close()


def test_an_agent_that_was_taken_over_does_what_it_is_told_and_else_nothing(live: LiveMatch):
    east = live.match.recording.header.actions.index("move_east")
    live.wish(Wish(agent=2))
    for step, action in enumerate((east, None, east), 1):
        live.wish(Wish(step=True) if action is None else Wish(action=action))
        wait_for(live, step)
    replay = parse_replay(live.match.recording.to_bytes(), "live")
    actions = [replay.state(step)[: 8 * replay.header.agent_width].reshape(8, -1)[2, 3] for step in (1, 2, 3)]
    assert actions == [east, 0, east]


def test_an_agent_is_given_back_when_who_took_it_over_leaves(live: LiveMatch):
    watchers = live.news(), live.news()
    first, second = (next(watcher) for watcher in watchers)
    assert first and second
    live.wish(Wish(watcher=first["watcher"], agent=2))
    live.wish(Wish(watcher=first["watcher"], step=True))
    wait_for(live, 1)
    assert live._agent == 2
    live.wish(Wish(watcher=first["watcher"], leave=True))
    live.wish(Wish(watcher=second["watcher"], step=True))
    wait_for(live, 2)
    assert live._agent is None
    for watcher in watchers:
        watcher.close()


def test_a_policy_that_fails_ends_the_match_and_is_named(live: LiveMatch):
    def fail(observations: np.ndarray) -> np.ndarray:
        raise ValueError("no idea")

    live.match.policy.step = fail
    live.wish(Wish(playing=True))
    last = heard(live)[-1]
    assert last["ended"] and last["error"] == "the policy failed: ValueError: no idea"
