"""The process in which a user's class plays: reads observations, answers with actions (metta.policy.hosted.client).

An answer is int32 [envs, agents]: an action, or why there is none. Nothing here imports torch; the class may.
"""

import fcntl
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metta.common.digests import digest, digest_path
from metta.common.errors import UserError
from metta.game.observation import EnvInfo, Feature
from metta.policy.hosted.by_class import UserClass, told
from metta.policy.hosted.per_agent import AgentTeam, BadAnswerError, check_actions
from metta.policy.hosted.user_code import code_of_class, user_modules
from metta.policy.hosted.wire import GoneError, Wire

if TYPE_CHECKING:
    from metta.policy.interface import Info, Policy

NO_ACTION = {"errors": -1, "garbage": -2, "timeouts": -3}  # what is counted, by the code that tells it
# Python takes an edited file for its compiled form where both are of one second and size; so none is written.
BOOT = """import sys; sys.path[:] = sys.argv[3:]
from metta.policy.hosted.child import main
sys.dont_write_bytecode = True
main(int(sys.argv[1]), int(sys.argv[2]))"""


def main(end: int, life: int) -> None:
    """Play until the parent ends: `end` is the socket to it, `life` a pipe that breaks when it is gone."""
    for handle in (end, life):
        os.set_inheritable(handle, False)
    _die_with_the_parent(life)
    with suppress(OSError):  # where memory runs out, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000")
    del sys.argv[1:]
    wire = Wire(socket.socket(fileno=end))
    with suppress(GoneError):
        _Host(wire).serve()
    os._exit(0)  # whatever threads the class has left behind


def _die_with_the_parent(life: int) -> None:
    """Let the kernel end this process and those it starts, whatever they are busy with, when the pipe breaks."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([life], [], [], 0)[0]:
        os._exit(0)


class _Host:
    """Keeps the class, and judges what it does."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._judge = _Judge()
        self._broken = ""  # why the last reset failed

    def serve(self) -> None:
        hello, _ = self._wire.receive()
        info = read_info(hello["info"])
        found = UserClass(**{name: hello[name] for name in ("origin", "path", "words", "data")})
        try:
            policy = found.build(info, partial(_JudgedTeam, self._judge, hello["seconds"]))
        except UserError as error:
            self._wire.send({"error": str(error)})
            return
        name = getattr(policy, "name", None)
        name = name if isinstance(name, str) else found.name
        team = isinstance(policy, _JudgedTeam)
        again = partial(found.build, info)
        self._policy = policy if team else _JudgedObjects(self._judge, policy, again, name, len(info.action_names))
        modules = user_modules()
        self._wire.send({"name": name, "team": team, "modules": modules, "content": _content(found, modules)})
        while True:
            message, payload = self._wire.receive()
            answer = self._reset(message["reset"]) if "reset" in message else self._step(message, payload)
            self._wire.send({"first": self._judge.take()}, answer)

    def _reset(self, words: dict[str, Any]) -> bytes:
        self._broken = ""
        reset = self._policy.reset_each if "seeds" in words else self._policy.reset
        if self._judge(lambda: reset(**words)) == NO_ACTION["errors"]:
            self._broken = self._judge.first["errors"]
        return b""

    def _step(self, message: dict[str, Any], payload: bytearray) -> bytes:
        shape = tuple(message["shape"])
        ended = np.frombuffer(payload, bool, shape[0])
        seen = np.frombuffer(payload, message["dtype"], offset=shape[0]).reshape(shape)
        answer = self._judge(lambda: self._play(ended, seen))
        return (np.full(shape[:2], answer) if isinstance(answer, int) else answer).astype(np.int32).tobytes()

    def _play(self, ended: np.ndarray, seen: np.ndarray) -> np.ndarray | int:
        if self._broken:
            return self._judge.fault("errors", self._broken)
        if ended.any():
            self._policy.end_episodes(ended)
        return self._policy.step(seen)


class _Judge:
    """Calls what is the user's, and keeps the first message of each kind of fault until it is taken."""

    def __init__(self) -> None:
        self.first: dict[str, str] = {}

    def __call__(self, act: Callable[[], Any]) -> Any:
        """What the call returns, or the code of its fault."""
        try:
            return act()
        except BadAnswerError as error:
            return self.fault("garbage", str(error))
        except BaseException as error:  # SystemExit too: only the parent ends this process
            return self.fault("errors", told(error))

    def fault(self, kind: str, message: str) -> int:
        self.first.setdefault(kind, message)
        return NO_ACTION[kind]

    def take(self) -> dict[str, str]:
        first, self.first = self.first, {}
        return first


class _JudgedTeam(AgentTeam):
    """Agents whose faults are their own: the others play on."""

    def __init__(self, judge: _Judge, seconds: float, *words: Any) -> None:
        """`seconds` is the time that each `act` has; a slower one is for nothing."""
        super().__init__(*words)
        self._judge, self._seconds = judge, seconds
        self._broken: dict[int, str] = {}  # by number in the batch: why its episode could not begin

    def begin(self, index: int, agent: int, seed: int) -> None:
        self._broken.pop(index, None)
        if self._judge(lambda: super(_JudgedTeam, self).begin(index, agent, seed)) == NO_ACTION["errors"]:
            self._broken[index] = self._judge.first["errors"]

    def act(self, index: int, observation: np.ndarray) -> int:
        if index in self._broken:
            return self._judge.fault("errors", self._broken[index])
        start = time.monotonic()
        action = self._judge(lambda: super(_JudgedTeam, self).act(index, observation))
        taken = time.monotonic() - start
        if taken > self._seconds:
            limit = f"the limit is {self._seconds * 1000:.0f} ms"
            return self._judge.fault("timeouts", f"{self.name}.act took {taken * 1000:.0f} ms, {limit}")
        return action


class _JudgedObjects:
    """Objects of a batched class: one for a batch of one seed, or one for each environment, so that what it does
    there depends on nothing else. The faults of each are its own: the others play on."""

    def __init__(self, judge: _Judge, first: "Policy", again: "Callable[[], Policy]", name: str, actions: int) -> None:
        """`again` builds another object; actions are 0 to `actions` - 1."""
        self._judge, self._again, self._name, self._actions = judge, again, name, actions
        self._objects = [first]
        self._broken: list[str] = []  # of each object that plays: why its episodes could not begin
        self._ended: np.ndarray | None = None  # bool [envs]: where they have ended since the last step

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self._broken = [self._begin(0, num_envs, num_agents, seed)]

    def reset_each(self, num_agents: int, seeds: Sequence[int]) -> None:
        self._broken = [self._begin(index, 1, num_agents, seed) for index, seed in enumerate(seeds)]

    def _begin(self, index: int, num_envs: int, num_agents: int, seed: int) -> str:
        """Why the object of that number cannot begin, "" if it can."""

        def begin() -> None:
            if index == len(self._objects):
                self._objects.append(self._again())
            self._objects[index].reset(num_envs=num_envs, num_agents=num_agents, seed=seed)

        return self._judge.first["errors"] if self._judge(begin) == NO_ACTION["errors"] else ""

    def end_episodes(self, ended: np.ndarray) -> None:
        self._ended = ended

    def step(self, seen: np.ndarray) -> np.ndarray:
        """Actions or why there are none, integers [envs, agents]."""
        ended, self._ended = np.zeros(len(seen), bool) if self._ended is None else self._ended, None
        parts = enumerate(zip(*(np.split(whole, len(self._broken)) for whole in (seen, ended)), strict=True))
        return np.concatenate([self._answer(index, *own) for index, own in parts])

    def _answer(self, index: int, seen: np.ndarray, ended: np.ndarray) -> np.ndarray:
        answer = self._judge(lambda: self._play(index, seen, ended))
        return np.full(seen.shape[:2], answer) if isinstance(answer, int) else answer

    def _play(self, index: int, seen: np.ndarray, ended: np.ndarray) -> np.ndarray | int:
        if self._broken[index]:
            return self._judge.fault("errors", self._broken[index])
        if ended.any():
            self._objects[index].end_episodes(ended)
        actions = check_actions(self._objects[index].step(seen), seen.shape[:2], self._name)
        wrong = (actions < 0) | (actions >= self._actions)
        if not wrong.any():
            return actions
        problem = f"{self._name}.step: returned {actions[wrong][0]}; actions are 0 to {self._actions - 1}"
        return np.where(wrong, self._judge.fault("garbage", problem), actions)


def _content(found: UserClass, modules: dict[str, str]) -> str:
    """Digest of the code of a class and of the files that its arguments name."""
    named = {"data": found.data} | {f"kw.{name}": str(value) for name, value in found.words.items()}
    files = {name: digest_path(Path(file)) for name, file in named.items() if os.path.exists(file)}
    return digest(code_of_class(found.module, modules), files)


def read_info(fields: dict[str, Any]) -> "Info":
    """`info` from what `dataclasses.asdict` made of it."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    if "features" in values:
        values["features"] = tuple(Feature(**feature) for feature in values["features"])
        return EnvInfo(**values)
    from metta.policy.interface import SpaceInfo  # here because it imports torch

    return SpaceInfo(**values)
