"""The folder of one run: its settings, where its files lie, and the lock while it is open."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metta.common.documents import read_yaml
from metta.common.errors import UserError
from metta.common.files import ensure_writable, read_text, remove_partials, write_atomic
from metta.common.jsonl import append_row
from metta.common.logging import warn
from metta.common.plain_yaml import dump
from metta.rl.run.run_lock import RunLock, usable

CONFIG = "config.yaml"
MOST_CONFIG_BYTES = 4_000_000  # missions may hold drawn maps


@dataclass(frozen=True)
class RunFolder:
    """`<data_dir>/<run>`."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def states(self) -> Path:
        return self.path / "trainer_state"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def replays(self) -> Path:
        return self.path / "replays"

    @property
    def starts(self) -> Path:
        return self.path / "starts.jsonl"

    def checkpoint(self, epoch: int) -> Path:
        return self.checkpoints / f"{self.name}:v{epoch}"

    def state(self, epoch: int) -> Path:
        return self.states / f"v{epoch}"

    def keep_config(self, tree: dict[str, Any], epoch: int) -> None:
        """Save the composed tree. One that differs and led up to `epoch` stays as config.v<epoch>.yaml; a damaged one
        as config.v<epoch>.damaged.yaml, which a line says."""
        text, path = dump(tree), self.path / CONFIG
        if os.path.lexists(path):
            kept = self.path / f"config.v{epoch}.yaml"
            try:
                if read_text(path, MOST_CONFIG_BYTES) == text:
                    return
                read_yaml(path, MOST_CONFIG_BYTES)
            except UserError as error:
                kept = kept.with_suffix(".damaged.yaml")
                warn(f"{error}; kept as {kept.name}, the run goes on with the settings it was given")
            os.replace(path, kept)
        write_atomic(path, text)

    def note_start(self, epoch: int, code: dict[str, Any]) -> None:
        """Add a line to starts.jsonl: when the run was started or went on, after which epoch, with which code."""
        append_row(self.starts, {"time": datetime.now(UTC).isoformat(timespec="seconds"), "epoch": epoch, **code})


@dataclass(frozen=True)
class OpenRun(RunFolder):
    """The folder of a run that goes on in this process."""

    lock: RunLock


@contextmanager
def open_run(data_dir: Path, name: str) -> Iterator[OpenRun]:
    """Create or reopen a run's folder and hold its lock. Raise UserError if it cannot be written or is in use."""
    ensure_writable(data_dir, "system.data_dir")
    folder, well = OpenRun(data_dir / name, RunLock(data_dir / name)), False
    try:
        for part in (folder.path, folder.checkpoints, folder.states):
            with usable(folder.path):
                part.mkdir(exist_ok=True)
            remove_partials(part)
        yield folder
        well = True
    finally:
        folder.lock.release(well)
