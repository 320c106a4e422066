"""Matches to watch, and a page of a real browser to watch them in."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.stored.uri import make_policy
from metta.view.live import LiveMatch
from metta.view.match import Match
from metta.view.server import ViewerServer

ARENA = "cogsguard_arena.basic"


def make_match(uri: str = "cogsguard?gear=10", steps: int = 1000, seed: int = 42, **changes: Any) -> Match:
    """A policy about to play the arena."""
    mission = build_mission(MissionSettings(**{"name": ARENA, "max_steps": steps, **changes}))
    return Match(mission, make_policy(uri, env_info(mission)), seed)


@dataclass
class Played:
    """A match played to its end: the replay file, and what the agents saw before each step and after the last."""

    match: Match
    path: Path
    observations: list[np.ndarray] = field(default_factory=list)


def play(match: Match, path: Path) -> Played:
    played = Played(match, path, [match.observations.copy()])
    while not match.ended:
        match.advance()
        played.observations.append(match.observations.copy())
    match.recording.save(path)
    return played


@contextmanager
def serving(live: LiveMatch) -> Iterator[ViewerServer]:
    server = ViewerServer(0, match=live)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        live.close()
        server.shutdown()
        thread.join()
        server.server_close()


def until(page: Any, expression: str, seconds: float = 10) -> None:
    """Wait until JavaScript holds in the page. (The page's own policy forbids what Playwright waits with.)"""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never came true: {expression}; step {page.inner_text('#step')}"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(make_match(), tmp_path_factory.mktemp("replays") / "arena.replay")


@contextmanager
def opened(chromium: Any, width: int = 1280, height: int = 800, **options: Any) -> Iterator[Any]:
    """A tab in which nothing may go wrong: no error on its console, no request to another host."""
    context = chromium.new_context(viewport={"width": width, "height": height}, accept_downloads=True, **options)
    tab, wrong = context.new_page(), []
    tab.set_default_timeout(10_000)

    def note_request(request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:")):
            wrong.append(f"request: {request.url}")

    def note_message(message: Any) -> None:
        if message.type in ("error", "warning"):
            wrong.append(f"console: {message.text}")

    context.on("request", note_request)
    context.on("weberror", lambda error: wrong.append(f"error: {error.error}"))
    context.on("console", note_message)
    context.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    yield tab
    context.close()
    assert wrong == []


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    with opened(chromium) as tab:
        yield tab


Start = Callable[..., Match]


@pytest.fixture(scope="session")
def start() -> Start:
    """A match in the arena or where `mission` says, at its first step."""

    def start(policy: str = "noop", seed: int = 5, steps: int = 200, **mission: object) -> Match:
        built = build_mission(MissionSettings.model_validate({"max_steps": steps, **mission}))
        return Match(built, make_policy(policy, env_info(built)), seed)

    return start
