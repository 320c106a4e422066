"""The trainer's state beside the weights, in memory and on disk.

`trainer_state/v<epoch>/` has what all ranks have alike in `shared.safetensors`, what each has of its own in
`rank-<rank>-of-<ranks>.safetensors`, and in `state.json` the numbers and the SHA-256 of every file.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from metta.policy.stored.bundle import BrokenBundleError
from metta.policy.stored.forms.writing import write_tensors
from metta.rl.run.ranking import Ranking

SHARED = "shared.safetensors"
NUMBERS = "state.json"
FORMAT = 3
MOST_RANKS = 1_000_000
# Of formats 1 and 2: one file for all, of one process, and what of it the ranks have alike.
ONE_FILE = "state.safetensors"
ALIKE = "optimizer."


@dataclass
class Progress:
    """How far a run is: plain numbers that a resumed run goes on counting from."""

    epoch: int = 0
    agent_steps: int = 0
    train_seconds: float = 0.0
    total_seconds: float = 0.0
    reward_area: float = 0.0
    returns: int = 0  # to a checkpoint, after a divergence


@dataclass(frozen=True)
class Snapshot:
    """Everything of a run between two epochs, as one of its ranks has it, but the weights, which are the bundle's."""

    progress: Progress
    fingerprint: dict[str, str]  # what the environments' state depends on, by name
    machine: dict[str, str]  # what the last digits of a result depend on
    shared: dict[str, Tensor]  # what all ranks have alike, such as the optimiser's state
    own: dict[str, Tensor]  # what this rank has: environments, memory, random generators, NPCs, teacher
    ranks: int = 1
    ranking: Ranking = field(default_factory=Ranking)

    def copied(self) -> "Snapshot":
        """One that stays as it is while the run goes on."""
        shared, own = ({name: part.clone() for name, part in parts.items()} for parts in (self.shared, self.own))
        return replace(self, progress=replace(self.progress), shared=shared, own=own)


def own_file(rank: int, ranks: int) -> str:
    """The file of what one rank has of its own."""
    return f"rank-{rank}-of-{ranks}.safetensors"


def write_parts(folder: Path, snapshot: Snapshot, rank: int) -> dict[str, str]:
    """Write what `rank` has to write of a state whose tensors lie contiguous on the host; returns the SHA-256 of each
    file. Rank 0 writes what all have alike."""
    name = own_file(rank, snapshot.ranks)
    written = {name: write_tensors(folder / name, snapshot.own)}
    return written if rank else {SHARED: write_tensors(folder / SHARED, snapshot.shared), **written}


def write_numbers(folder: Path, snapshot: Snapshot, hashes: dict[str, str]) -> None:
    """Write the rest of a state, once every rank's files are there; `hashes` are their SHA-256 by name."""
    numbers: dict[str, Any] = {
        "format": FORMAT,
        "progress": asdict(snapshot.progress),
        "world": snapshot.fingerprint,
        "machine": snapshot.machine,
        "ranks": snapshot.ranks,
        "ranking": asdict(snapshot.ranking),
        "sha256": hashes,
    }
    numbers["check"] = _check(numbers)
    (folder / NUMBERS).write_text(json.dumps(numbers, indent=2) + "\n")


def load_snapshot(folder: Path, rank: int = 0, ranks: int = 1) -> Snapshot:
    """Read and verify a trainer state as rank `rank` of `ranks` needs it: with its own part, or rank 0's where there
    were another number. Raise BrokenBundleError when it is missing, cut short or damaged."""
    try:
        numbers = json.loads((folder / NUMBERS).read_bytes())
        if numbers["check"] != _check(numbers):
            raise BrokenBundleError(f"{folder}/{NUMBERS}: damaged or edited (its SHA-256 does not match)")
        if numbers["format"] not in range(1, FORMAT + 1):
            problem = f"is of format {numbers['format']}, this version reads formats up to {FORMAT}: update metta"
            raise BrokenBundleError(f"{folder}/{NUMBERS}: {problem}")
        return _read(folder, numbers, rank, ranks) if numbers["format"] == FORMAT else _read_earlier(folder, numbers)
    except OSError as error:
        raise BrokenBundleError(f"{folder}: no complete trainer state ({error.strerror})") from error
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, SafetensorError) as error:
        raise BrokenBundleError(f"{folder}: not a trainer state ({error})") from error


def _read(folder: Path, numbers: dict[str, Any], rank: int, ranks: int) -> Snapshot:
    saved, hashes = int(numbers["ranks"]), numbers["sha256"]
    if not 1 <= saved <= MOST_RANKS:
        raise ValueError(f"{saved} ranks")
    name = own_file(rank if saved == ranks else 0, saved)
    return Snapshot(
        progress=_progress(numbers),
        fingerprint=numbers["world"],
        machine=numbers["machine"],
        shared=_tensors(folder / SHARED, hashes[SHARED]),
        own=_tensors(folder / name, hashes[name]),
        ranks=saved,
        ranking=Ranking.read(numbers["ranking"]),
    )


def _read_earlier(folder: Path, numbers: dict[str, Any]) -> Snapshot:
    """Formats 1, whose fingerprint was one hash of all, and 2."""
    tensors = _tensors(folder / ONE_FILE, numbers["sha256"])
    shared = {name: part for name, part in tensors.items() if name.startswith(ALIKE)}
    own = {name: part for name, part in tensors.items() if name not in shared}
    fingerprint = numbers["world"] if numbers["format"] == 2 else {}
    return Snapshot(_progress(numbers), fingerprint, numbers.get("machine", {}), shared, own)


def _progress(numbers: dict[str, Any]) -> Progress:
    known = {field.name for field in fields(Progress)}
    return Progress(**{key: value for key, value in numbers["progress"].items() if key in known})


def _tensors(path: Path, sha256: str) -> dict[str, Tensor]:
    data = path.read_bytes()
    if sha256 != hashlib.sha256(data).hexdigest():
        raise BrokenBundleError(f"{path}: damaged or cut short (its SHA-256 does not match)")
    return load_tensors(data)


def _check(numbers: dict[str, Any]) -> str:
    content = {key: value for key, value in numbers.items() if key != "check"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
