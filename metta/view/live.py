"""A match at the pace that its watchers ask for, told to them step by step."""

import base64
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from metta.common.errors import UserError
from metta.eval.replay.file import CHUNK_STEPS
from metta.view.match import Match

STEPS_PER_SECOND = 8  # at speed 1, as in viewer/src/store.ts
QUIET = 2.0  # seconds after which a watcher hears that the line still stands, and one that has gone is noticed
NOOP = 0


class Wish(BaseModel):
    """What a watcher asks for; what is not set stays as it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    playing: bool | None = None
    step: bool = False
    speed: Annotated[float, Field(ge=0.25, le=64)] | None = None
    agent: Annotated[int, Field(ge=0)] | None = None
    action: Annotated[int, Field(ge=0)] | None = None


class LiveMatch:
    """Plays a match in a thread of its own. An agent that a watcher took over waits unless it is told an action."""

    def __init__(self, match: Match, playing: bool = True) -> None:
        self.match = match
        self._change = threading.Condition()
        self._playing, self._speed = playing, 1.0
        self._single = self._closed = False
        self._agent: int | None = None
        self._action: int | None = None
        self._watchers = 0
        self._over = False
        self.error = ""
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to play; more calls do nothing."""
        with self._change:
            if not self._thread.is_alive() and not self._closed and not self.match.ended:
                self._thread.start()

    def close(self) -> None:
        with self._change:
            self._closed = True
            self._change.notify_all()
        if self._thread.is_alive():
            self._thread.join(5)

    def wish(self, wish: Wish) -> None:
        """Do as a watcher asks. Raises UserError for an agent or action that there is not."""
        header = self.match.recorder.header
        if wish.agent is not None and wish.agent >= len(header.agents):
            raise UserError(f"there is no agent {wish.agent}")
        if wish.action is not None and wish.action >= len(header.actions):
            raise UserError(f"there is no action {wish.action}")
        with self._change:
            if wish.playing is not None:
                self._playing = wish.playing
            if wish.speed is not None:
                self._speed = wish.speed
            if "agent" in wish.model_fields_set:
                self._agent, self._action = wish.agent, None
            if wish.action is not None and self._agent is not None:
                self._action = wish.action
                self._single = self._single or not self._playing
            self._single = self._single or wish.step
            self._change.notify_all()

    def to_bytes(self) -> bytes:
        """The replay file of what has been played so far."""
        return self.match.recorder.to_bytes()

    def news(self) -> Iterator[dict[str, Any] | None]:
        """All that happened since the start, then what happens; None now and then while nothing does."""
        self._watchers += 1
        try:
            yield from self._news()
        finally:
            with self._change:
                self._watchers -= 1
                if not self._watchers:
                    self._agent = self._action = None  # nobody is left who holds it

    def _news(self) -> Iterator[dict[str, Any] | None]:
        recorder, playing = self.match.recorder, self._playing
        start = {"header": recorder.header.model_dump(), "state": _text(recorder.states[0])}
        yield start | {"playing": playing, "speed": self._speed}
        told, over = 1, False
        while not self._closed and not over:
            with self._change:
                quiet = not self._change.wait_for(partial(self._has_news, told, playing), QUIET)
                deltas = recorder.deltas[told : told + CHUNK_STEPS]
                playing, over = self._playing, self._over and told + len(deltas) == len(recorder.deltas)
            told += len(deltas)
            news = {"deltas": [_text(delta) for delta in deltas], "playing": playing}
            yield None if quiet else news | {"values": recorder.header.values, "ended": over, "error": self.error}

    def _has_news(self, told: int, playing: bool) -> bool:
        return len(self.match.recorder.deltas) > told or playing != self._playing or self._over or self._closed

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._playing or self._single)
                if self._playing and not self._single and not self._closed:
                    self._change.wait(max(0.0, due - time.monotonic()))
                    if time.monotonic() < due:
                        continue  # something changed meanwhile: look again
                if self._closed:
                    return
                instead = {} if self._agent is None else {self._agent: NOOP if self._action is None else self._action}
                self._single, self._action = False, None
            due = max(due + 1 / (STEPS_PER_SECOND * self._speed), time.monotonic() - 0.1)
            self._advance(instead)

    def _advance(self, instead: dict[int, int]) -> None:
        """Play a step, without the lock: wishes and watchers do not wait for a slow policy."""
        try:
            self.match.advance(instead)
        except Exception as error:  # of a policy that is not ours: told to the watchers, the match ends
            self.error = f"the policy failed: {type(error).__name__}: {error}"
        with self._change:
            self._over = self.match.ended or bool(self.error)
            self._change.notify_all()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
