"""A user's class in a process of its own: whatever it does, the evaluation goes on.

A call has a time limit. A class that raises, is late or returns what is no action stands still for that step, which is
counted. A late answer is thrown away when it comes; a class that stays silent GRACE seconds beyond the limit is ended
and stands still until the next `reset`, as is one whose process ends by itself.

Time limit: `action_timeout_ms` for each `act` of a class that plays agent by agent, the same for a batched one's answer
for all agents of one environment. A step of many environments has the sum of it, at most MOST_SECONDS.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from metta.common.errors import UserError, printable
from metta.policy.hosted.by_class import UserClass
from metta.policy.hosted.child import NO_ACTION
from metta.policy.hosted.process import Child, Hosting
from metta.policy.hosted.wire import GoneError, LateError
from metta.policy.interface import Info

MOST_SECONDS = 10.0  # of a step, however many environments it is for
GRACE = 5.0  # seconds beyond the limit after which a silent process is ended
START_SECONDS = 60.0  # to import and build the class, and for each reset
UNKNOWN = np.int32(-9)  # in place of an answer of a wrong size
MOST_ANSWER = 1 << 24  # bytes
MOST_MESSAGE = 400  # characters of a fault's message
MOST_NAME = 64


@dataclass
class Faults:
    """Agent-steps in which a policy stood still because of what its class did, and the first message of each kind."""

    timeouts: int = 0
    errors: int = 0
    garbage: int = 0
    first: dict[str, str] = field(default_factory=dict)
    ended: str = ""  # why its process ended before its time, the first time that it did

    @property
    def total(self) -> int:
        return self.timeouts + self.errors + self.garbage

    def add(self, kind: str, agent_steps: int, message: str = "") -> None:
        setattr(self, kind, getattr(self, kind) + agent_steps)
        if message:
            self.first.setdefault(kind, printable(message)[:MOST_MESSAGE])

    def lines(self) -> list[str]:
        """One line for each kind that there was, and for an early end."""
        counts = {"timeouts": self.timeouts, "errors": self.errors, "garbage": self.garbage}
        lines = [
            f"{count:,} agent-steps without an action ({kind}); first: {self.first.get(kind, 'unknown')}"
            for kind, count in counts.items()
            if count
        ]
        return [*lines, f"the policy was stopped: {self.ended}"] if self.ended else lines


class _SilentError(GoneError):
    """The process did not answer for too long."""


class UnbuiltError(UserError):
    """A class that cannot be built, and what its process wrote until then, where that is kept."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


class HostedPolicy:
    """Plays as the class does where it answers in time; `faults` counts where it does not."""

    def __init__(
        self,
        policy: UserClass,
        info: Info,
        hosting: Hosting | None = None,
        folder: str | None = None,
        wait: bool = True,
    ) -> None:
        """`folder`, if any, is where the process works and first looks for modules. Without `wait` the class is built
        while this goes on; `ready` is to be called before it plays.

        Raise UserError if the class cannot be built there, with its error.
        """
        self.faults = Faults()
        self.path = policy.path
        self._origin, self._folder = policy.origin, folder
        self.content = ""  # digest of the code that was imported and of the data that was loaded
        self._hosting = hosting or Hosting()
        self._seconds = self._hosting.action_timeout_ms / 1000
        self._num_actions = len(info.action_names)
        self._hello = {**asdict(policy), "info": asdict(info), "seconds": self._seconds}
        self._ended = np.zeros(0, bool)
        self._due: float | None = None  # when the answer that has not come should have
        self._out: tuple[str, str] | None = None  # kind and message of what made it play no more
        self._spent = 0.0  # seconds that its answers since the reset have taken
        self._logs: list[str] = []  # of the processes before this one
        self._begin()
        if wait:
            self.ready()

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self._reset(num_envs, {"num_envs": num_envs, "num_agents": num_agents, "seed": seed}, START_SECONDS)

    def reset_each(self, num_agents: int, seeds: Sequence[int]) -> None:
        seconds = START_SECONDS + len(seeds) * self._starting  # the class may be built once more for each
        self._reset(len(seeds), {"num_agents": num_agents, "seeds": list(seeds)}, seconds)

    def _reset(self, num_envs: int, words: dict[str, Any], seconds: float) -> None:
        self._ended, self._spent = np.zeros(num_envs, bool), 0.0
        if self._out or not self._idle():
            self._restart()
        if self._out:
            return
        try:
            self._call({"reset": words}, b"", seconds)
        except LateError:
            self._lose("timeouts", f"reset took more than {seconds:.0f} s")
        except GoneError as error:
            self._lose("errors", self._process.how_it_ended(str(error)))

    def step(self, observations: np.ndarray) -> np.ndarray:
        if self._out:
            return self._stand_still(observations.shape[:2], *self._out)
        start = time.monotonic()
        actions = self._ask(observations)
        self._spent += time.monotonic() - start
        most = self._hosting.seconds
        if most is not None and self._spent > most and not self._out:
            self._lose("timeouts", f"the {most:g} s that it has for a match are spent")
        return actions

    def _ask(self, observations: np.ndarray) -> np.ndarray:
        shape = observations.shape[:2]
        seconds = self._limit(*shape)
        message = {"shape": observations.shape, "dtype": observations.dtype.str}
        try:
            answer = self._call(message, self._ended.tobytes() + observations.tobytes(), seconds)
        except LateError:
            return self._stand_still(shape, "timeouts", f"no answer within {seconds * 1000:g} ms")
        except _SilentError as error:
            return self._stand_still(shape, *self._lose("timeouts", str(error)))
        except GoneError as error:
            return self._stand_still(shape, *self._lose("errors", self._process.how_it_ended(str(error))))
        codes = np.frombuffer(answer, np.int32) if len(answer) == 4 * shape[0] * shape[1] else np.full(shape, UNKNOWN)
        return self._checked(codes.reshape(shape))

    def end_episodes(self, ended: np.ndarray) -> None:
        self._ended |= ended  # goes with the next observations

    def close(self) -> None:
        """End the process."""
        self._process.end()

    @property
    def log(self) -> str:
        """What its processes wrote, where that is kept (`Hosting.most_output`)."""
        output = self._process.output
        return "".join([*self._logs, *([output.text(0.0 if self._process.end.alive else 1.0)] if output else [])])

    def _limit(self, envs: int, agents: int) -> float:
        """Seconds that a step may take."""
        return min(self._seconds * envs * (agents if self._team else 1), max(self._seconds, MOST_SECONDS))

    def _stand_still(self, shape: tuple[int, ...], kind: str, message: str) -> np.ndarray:
        actions = np.zeros(shape, np.int32)
        self.faults.add(kind, actions.size, message)
        return actions

    def _checked(self, codes: np.ndarray) -> np.ndarray:
        """Actions from codes, which may be anything: the class may have taken hold of its process."""
        known = (codes >= 0) & (codes < self._num_actions)
        if known.all():
            return codes.astype(np.int32)
        for kind, code in NO_ACTION.items():
            self.faults.add(kind, int((codes == code).sum()))
        strange = ~known & ~np.isin(codes, list(NO_ACTION.values()))
        self.faults.add("garbage", int(strange.sum()), "its process answers what is no action" if strange.any() else "")
        return np.where(known, codes, 0).astype(np.int32)

    def _call(self, message: dict[str, Any], payload: bytes, seconds: float) -> bytearray:
        """The answer to a message. Raise LateError, GoneError."""
        deadline = time.monotonic() + seconds
        if self._due is not None:
            self._await_late(deadline)
        if self._process.wire.has_more():
            raise GoneError("it answers what it was not asked")
        self._process.wire.send(message, payload, MOST_SECONDS)
        self._ended[:] = False
        self._due = deadline
        return self._answer(deadline)

    def _answer(self, deadline: float) -> bytearray:
        text, payload = self._process.wire.receive(deadline, MOST_ANSWER)
        self._due = None
        first = text.get("first")
        for kind in NO_ACTION:
            if isinstance(first, dict) and kind in first:
                self.faults.add(kind, 0, str(first[kind]))
        return payload

    def _await_late(self, deadline: float) -> None:
        """Throw away the answer that was late. Raise LateError if it still is, _SilentError after the grace."""
        assert self._due is not None
        last = self._due + GRACE
        try:
            self._answer(min(deadline, last))
        except LateError:
            if time.monotonic() >= last:
                raise _SilentError(f"no answer {GRACE:g} s after the limit") from None
            raise

    def _idle(self) -> bool:
        """Has the class nothing more to do, at the latest after the grace?"""
        try:
            if self._due is not None:
                self._await_late(self._due + GRACE)
            return True
        except (LateError, GoneError):
            return False

    def _begin(self) -> None:
        self._began = time.monotonic()
        self._process = Child(self._folder, self._hosting)
        with suppress(GoneError):  # `ready` hears of it
            self._process.wire.send(self._hello, seconds=MOST_SECONDS)

    def ready(self) -> None:
        """Wait until the class is built. Raise UserError if it cannot be."""
        try:
            self._greet()
        except UserError as error:
            self.close()
            raise UnbuiltError(str(error), self.log) from None
        except BaseException:
            self.close()
            raise
        self._starting = time.monotonic() - self._began  # seconds

    def _greet(self) -> None:
        """Have the class built. Raise UserError if it cannot be."""
        try:
            text, _ = self._process.wire.receive(self._began + START_SECONDS, 0)
        except LateError:
            raise UserError(f"{self._origin}: not ready after {START_SECONDS:g} s") from None
        except GoneError as error:
            ended = self._process.how_it_ended(str(error))
            raise UserError(f"{self._origin}: {ended}{self._process.last_words()}") from None
        if "error" in text:
            raise UserError(str(text["error"])[:MOST_MESSAGE])
        self.name, self._team = printable(str(text.get("name")))[:MOST_NAME], bool(text.get("team"))
        self.modules: dict[str, str] = text.get("modules", {})  # files of the user's that it imported, by path
        content = str(text.get("content"))[:MOST_NAME]
        if self.content not in ("", content):
            raise UserError(f"{self._origin}: its code or data has changed since it began to play")
        self.content = content

    def _restart(self) -> None:
        self.close()
        self._logs = [self.log[: self._hosting.most_output]]
        self._due = self._out = None
        self._begin()
        try:
            self.ready()
        except UserError as error:
            self._lose("errors", str(error))

    def _lose(self, kind: str, message: str) -> tuple[str, str]:
        """It plays no more until the next reset."""
        self.close()
        self._due, self._out = None, (kind, message)
        self.faults.ended = self.faults.ended or printable(message)[:MOST_MESSAGE]
        return self._out
