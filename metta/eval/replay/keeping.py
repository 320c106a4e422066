"""Replays of the episodes of an evaluation, a file for each, written while they are played."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from metta.common.errors import UserError
from metta.eval.replay.file import read_replay
from metta.eval.replay.recorder import Recorder
from metta.eval.replay.recording import Recording
from metta.game.engine.batch import Batch
from metta.policy.interface import Policy
from metta.policy.team import TeamPolicy

SUFFIX = ".replay"
DELAY = 0.5  # seconds after which a step that was played is in its file


def replay_name(mission: str, seed: int, policies: Sequence[str] = ()) -> str:
    """File name of an episode: its mission, its seed, and what else it needs to be told from others."""
    parts = [mission, *policies, f"seed{seed}"]
    return ".".join(re.sub(r"[^\w.+=-]+", "_", part)[:60] for part in parts) + SUFFIX


def is_left(path: Path) -> bool:
    """Whether a file is the replay of an episode that was broken off, which playing it again may replace."""
    try:
        return read_replay(path).is_cut
    except UserError:
        return False


class BatchRecorder:
    """Watches a batch and records its episodes."""

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        seeds: Sequence[tuple[int, int]],
        policies: Sequence[str],
        seats: list[int] | None = None,
    ) -> None:
        """`names` are the files of the episodes, `seeds` those of each and of its map; `policies` who plays, `seats`
        which of them each agent is, where who is watched does not say."""
        self._folder, self._names, self._seeds, self._policies = folder, names, seeds, list(policies)
        self._said_seats = seats
        self._recorder: Recorder | None = None
        self._team: TeamPolicy | None = None

    def begin(self, batch: Batch, policy: Policy) -> None:
        self._team = policy if isinstance(policy, TeamPolicy) else None
        seats = self._team.seats if self._team else None
        if self._said_seats:
            seats = np.tile(self._said_seats, (batch.num_envs, 1))
        self._recorder = Recorder(batch, self._seeds, self._policies, seats, DELAY)
        self._recorder.start(policy)
        for recording, name in self._recordings():
            recording.grow(self._folder / name)

    def step(self, actions: np.ndarray, rewards: np.ndarray) -> None:
        assert self._recorder
        self._recorder.step(actions, rewards, self._team.values if self._team else None)

    def save(self) -> dict[int, str]:
        """Write the whole replays; file by environment. Raises UserError where that fails."""
        for recording, name in self._recordings():
            recording.save(self._folder / name)
        return dict(enumerate(self._names))

    def close(self) -> None:
        """Leave the files of episodes that do not come to their end as they are."""
        for recording, _ in self._recordings():
            recording.close()

    def _recordings(self) -> Iterator[tuple[Recording, str]]:
        """All that was played, and the name of its file."""
        if self._recorder:
            self._recorder.flush()
            yield from zip(self._recorder.recordings, self._names, strict=True)
