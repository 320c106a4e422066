"""The recording of one episode: its states as a replay file keeps them."""

from pathlib import Path

import numpy as np

from metta.common.files import write_atomic, writing
from metta.eval.replay.file import CHUNK_STEPS, encode_deltas, encode_file, encode_state
from metta.eval.replay.growing import GrowingFile
from metta.eval.replay.header import ReplayHeader


class Recording:
    """What has been played of an episode, from the state in which it began."""

    def __init__(self, header: ReplayHeader, state: np.ndarray) -> None:
        """`state`: int [header.size]."""
        self.header, self.state = header, state
        self.states = [encode_state(state)]  # key states, every CHUNK_STEPS steps
        self.deltas = [b""]  # from the state before; that of step 0 is empty
        self._file: GrowingFile | None = None

    def add(self, states: np.ndarray) -> None:
        """Take in the states after the next steps, int [steps, header.size]."""
        first = len(self.deltas)
        self.deltas += encode_deltas(np.concatenate([self.state[None], states]))
        keys = range(first + -first % CHUNK_STEPS, len(self.deltas), CHUNK_STEPS)
        self.states += [encode_state(states[step - first]) for step in keys]
        self.state = states[-1]
        if self._file:
            self._file.add()

    def tell_values(self) -> None:
        """From the next step on, states hold the policy's values."""
        self.header.values = True
        if self._file:
            self.grow(self._file.path)  # the header has changed

    def grow(self, path: Path) -> None:
        """Write the file from here on as steps are added, so that it outlives this process; `save` ends that."""
        self.close()
        self._file = GrowingFile(path, self.header, self.states, self.deltas)

    def to_bytes(self) -> bytes:
        """The replay file of what has been recorded so far."""
        return encode_file(self.header, self.states, self.deltas)

    def save(self, path: Path) -> None:
        """Write the whole replay file. Raises UserError where that fails."""
        self.close()
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, self.to_bytes())

    def close(self) -> None:
        """End a file that grows, as it is."""
        if self._file:
            self._file.close()
        self._file = None
