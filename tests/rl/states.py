"""Trainer states as tests read, change and compare them."""

from collections.abc import Callable
from pathlib import Path

from metta.common.files import atomic_folder
from metta.rl.run.snapshot import Snapshot, load_snapshot, write_numbers, write_parts


def change_state(folder: Path, change: Callable[[Snapshot], Snapshot]) -> None:
    """Write a state of one process anew, changed."""
    changed = change(load_snapshot(folder))
    with atomic_folder(folder) as partial:
        write_numbers(partial, changed, write_parts(partial, changed, 0))


def state_files(folder: Path) -> dict[str, bytes]:
    """The tensors of a state as they lie on disk, by file."""
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*.safetensors"))}
