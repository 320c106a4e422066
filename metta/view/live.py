"""A match at the pace that its watchers ask for, told to them step by step."""

import base64
import threading
import time
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from metta.common.errors import UserError
from metta.eval.replay.file import CHUNK_STEPS
from metta.view.controls import Controls
from metta.view.match import Match

STEPS_PER_SECOND = 8  # at speed 1, as in viewer/src/store.ts
QUIET = 2.0  # seconds after which a watcher hears that the line still stands, and one that has gone is noticed
NOOP = 0


class Wish(BaseModel):
    """What a watcher asks for; what is not set stays as it is. Who does not hold the controls can ask for them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    watcher: int | None = None  # the number that it was told
    ask: bool = False  # for the controls
    give: bool | None = None  # answers the one who asks
    leave: bool = False

    playing: bool | None = None
    step: bool = False
    speed: Annotated[float, Field(ge=0.25, le=1000)] | None = None
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
        self._driver: int | None = None  # the watcher who took the agent over
        self._controls = Controls()
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
        """Do as a watcher asks. Raises UserError for an agent or action that there is not, and for a wish of one who
        does not hold the controls."""
        header = self.match.recording.header
        if wish.agent is not None and wish.agent >= len(header.agents):
            raise UserError(f"there is no agent {wish.agent}")
        if wish.action is not None and wish.action >= len(header.actions):
            raise UserError(f"there is no action {wish.action}")
        with self._change:
            if wish.watcher is not None and wish.leave:
                self._controls.leave(wish.watcher)
            elif wish.watcher is not None and wish.ask:
                self._controls.ask(wish.watcher)
            elif wish.watcher != self._controls.holder:
                raise UserError("another page holds the controls")
            elif wish.give is not None:
                self._controls.answer(wish.give)
            else:
                self._steer(wish)
            self._change.notify_all()

    def _steer(self, wish: Wish) -> None:
        if wish.playing is not None:
            self._playing = wish.playing
        if wish.speed is not None:
            self._speed = wish.speed
        if "agent" in wish.model_fields_set:
            self._agent, self._action, self._driver = wish.agent, None, wish.watcher
        if wish.action is not None and self._agent is not None:
            self._action = wish.action
            self._single = self._single or not self._playing
        self._single = self._single or wish.step

    def news(self) -> Iterator[dict[str, Any] | None]:
        """All that has happened so far, then what happens; None now and then while nothing does."""
        with self._change:
            watcher = self._controls.join()
            self._change.notify_all()
        try:
            yield from self._news(watcher)
        finally:
            with self._change:
                self._controls.leave(watcher)
                self._change.notify_all()

    def _news(self, watcher: int) -> Iterator[dict[str, Any] | None]:
        recording, told, known = self.match.recording, 1, self._standing(watcher)
        start = {"watcher": watcher, "header": recording.header.model_dump_json(), "state": _text(recording.states[0])}
        over, most = False, len(recording.deltas)  # first all that was played before the watcher came
        while not self._closed and not over:
            deltas = recording.deltas[told : told + most]
            told += len(deltas)
            over = self._over and told == len(recording.deltas)
            news = {"deltas": [_text(delta) for delta in deltas], "values": recording.header.values}
            yield start | news | known | {"ended": over, "error": self.error}
            start, most = {}, CHUNK_STEPS
            while not over and not self._wait(watcher, told, known):
                yield None
            known = self._standing(watcher)

    def _wait(self, watcher: int, told: int, known: dict[str, Any]) -> bool:
        """Wait until there is news for a watcher. Returns whether there is."""
        with self._change:
            until = time.monotonic() + QUIET
            while not self._has_news(watcher, told, known):
                left = until - time.monotonic()
                if left <= 0:
                    return False
                wait = self._controls.wait
                self._change.wait(left if wait is None else min(left, wait))
            return True

    def _has_news(self, watcher: int, told: int, known: dict[str, Any]) -> bool:
        self._controls.pass_on()
        return len(self.match.recording.deltas) > told or known != self._standing(watcher) or self._over or self._closed

    def _standing(self, watcher: int) -> dict[str, Any]:
        """What a watcher is told of pace and controls."""
        return {"playing": self._playing, "speed": self._speed} | self._controls.told_to(watcher)

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
                if self._driver != self._controls.holder:
                    self._agent = self._action = None  # who took it over has left or handed the controls over
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
