"""A replay file while its episode is played: open chunks, one step after the other (docs/replays.md)."""

import os
from contextlib import suppress
from pathlib import Path

from metta.common.files import partial
from metta.eval.replay.file import CHUNK_STEPS, encode_open_step, encode_start
from metta.eval.replay.header import ReplayHeader


class GrowingFile:
    """Holds every step that was played, however this process ends.

    Where the disk takes no more it stops to grow: `Recorder.save` writes all steps anew, and raises if it cannot.
    """

    def __init__(self, path: Path, header: ReplayHeader, states: list[bytes], deltas: list[bytes]) -> None:
        """Write what has been played; `add` takes in what `states` and `deltas` gain afterwards."""
        self.path, self._states, self._deltas, self._written = path, states, deltas, 0
        self._file = None
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial(path).write_bytes(encode_start(header) + self._news())
            os.replace(partial(path), path)
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by close

    def add(self) -> None:
        """Write the steps that have come."""
        news = self._news()
        try:
            if self._file and self._file.write(news) < len(news):
                self.close()
        except OSError:
            self.close()

    def close(self) -> None:
        if self._file:
            self._file.close()
        self._file = None

    def _news(self) -> bytes:
        steps = range(self._written, len(self._deltas))
        self._written = len(self._deltas)
        return b"".join(
            encode_open_step(step, self._deltas[step] if step % CHUNK_STEPS else self._states[step // CHUNK_STEPS])
            for step in steps
        )
