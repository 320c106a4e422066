"""Classes as users write them, good and bad: `class=tests.policy.hosted.user_policies.NAME`."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from metta.game.observation import EnvInfo


class Walker:
    """Agent by agent: walks at random, and tells by the first steps what it was given."""

    def __init__(self, info: EnvInfo, stride: str = "1") -> None:
        self.actions, self.stride = info.action_names, int(stride)

    def reset(self, agent: int, seed: int) -> None:
        self.agent, self.random, self.steps = agent, np.random.default_rng(seed), 0

    def act(self, observation: np.ndarray) -> int | str:
        self.steps += self.stride
        if self.steps % 3 == 0:
            return self.actions[self.agent % len(self.actions)]
        return int(self.random.integers(len(self.actions))) ^ int(observation[0, 2] > 250)


class Crowd:
    """A batch at a time; acts for one agent too, which nobody asks it to."""

    def __init__(self, info: EnvInfo) -> None:
        self.actions = len(info.action_names)

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self.random, self.episodes = np.random.default_rng(seed), np.zeros((num_envs, 1), np.int64)

    def step(self, observations: np.ndarray) -> np.ndarray:
        drawn = self.random.integers(0, self.actions, observations.shape[:2])
        return (drawn + self.episodes + observations[:, :, 0, 2]) % self.actions

    def end_episodes(self, ended: np.ndarray) -> None:
        self.episodes[ended] += 1

    def act(self, observation: np.ndarray) -> int:
        raise NotImplementedError


class Marcher(Crowd):
    """Always moves north; its children do one thing wrong from the third step on."""

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self.steps = 0

    def end_episodes(self, ended: np.ndarray) -> None:
        return

    def step(self, observations: np.ndarray) -> np.ndarray:
        self.steps += 1
        actions = np.ones(observations.shape[:2], np.int32)
        return actions if self.steps < 3 else self.err(actions)

    def err(self, actions: np.ndarray):
        return actions


class Raises(Marcher):
    def err(self, actions: np.ndarray):
        raise ValueError("no such luck\nat all")


class Hangs(Marcher):
    def err(self, actions: np.ndarray):
        time.sleep(600)


class HangsInC(Marcher):
    """Holds Python's lock, so that nothing else in its process runs; leaves its number and a program of its own."""

    def err(self, actions: np.ndarray):
        other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path("pids").write_text(f"{os.getpid()} {other.pid}")
        re.match(r"(a+)+$", "a" * 60 + "b")


class SlowOnce(Marcher):
    """Sleeps in the third step, then tells how many steps it has played."""

    def err(self, actions: np.ndarray):
        if self.steps == 3:
            time.sleep(0.6)
        return actions * (self.steps % 5)


class ReturnsNone(Marcher):
    def err(self, actions: np.ndarray):
        return None


class ReturnsNaN(Marcher):
    def err(self, actions: np.ndarray):
        return np.full(actions.shape, np.nan)


class ReturnsAnotherShape(Marcher):
    def err(self, actions: np.ndarray):
        return actions[:, :1]


class ReturnsTooMuch(Marcher):
    """Of one agent only."""

    def err(self, actions: np.ndarray):
        actions[0, 0] = 1_000
        return actions


class Exits(Marcher):
    def err(self, actions: np.ndarray):
        os._exit(3)


class QuitsPolitely(Marcher):
    def err(self, actions: np.ndarray):
        sys.exit(3)


class Crashes(Marcher):
    def err(self, actions: np.ndarray):
        ctypes.string_at(0)


class IsKilled(Marcher):
    def err(self, actions: np.ndarray):
        os.kill(os.getpid(), signal.SIGKILL)


class Scribbles(Marcher):
    """Writes into whatever is open, as a process that has gone astray might."""

    def err(self, actions: np.ndarray):
        for handle in range(3, 1024):
            try:
                os.write(handle, b"\xff" * 64)
            except OSError:
                continue
        return actions


class Talks(Marcher):
    def err(self, actions: np.ndarray):
        print("what I print")
        os.system("echo what I start prints")
        return actions


class OneOfUs(Walker):
    """Each agent errs in its own way; those above 4 do not."""

    def act(self, observation: np.ndarray):
        if self.agent == 0:
            raise KeyError("lost")
        if self.agent == 4:
            time.sleep(0.35)
        return [0, "move_nort", 2.0, None, 1][self.agent] if self.agent < 5 else "move_north"


class Weighted(Walker):
    """Always does what its file says."""

    def load(self, path: str) -> None:
        self.loaded = Path(path).read_text().strip()

    def act(self, observation: np.ndarray) -> str:
        return self.loaded


class NeverReady(Walker):
    def __init__(self, info: EnvInfo) -> None:
        time.sleep(600)


class EndsWhenBuilt(Walker):
    def __init__(self, info: EnvInfo) -> None:
        os._exit(5)


class CannotBegin(Marcher):
    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        raise RuntimeError("not today")


class Light(Marcher):
    """Refuses to play where torch was imported, which takes seconds."""

    def __init__(self, info: EnvInfo) -> None:
        assert "torch" not in sys.modules


class Neither:
    """No policy at all."""


class Space(Marcher):
    """Plays an environment that is not the game."""

    def __init__(self, info) -> None:
        assert info.action_names[6] == "3-0"

    def step(self, observations: np.ndarray) -> np.ndarray:
        return (observations.sum(-1) * 4 / 3).astype(np.int64)
