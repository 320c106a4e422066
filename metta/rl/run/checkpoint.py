"""Saving a run so that it can go on as if it had never stopped.

A checkpoint is a policy bundle; beside it lies the trainer's own state. The bundle is written last: an epoch counts
once both are there.
"""

import errno
import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from metta.common.errors import UserError
from metta.common.files import atomic_folder, disk_full, remove_folder
from metta.common.logging import warn
from metta.policy.nets.net import ComponentNet
from metta.policy.stored.bundle import BrokenBundleError, Bundle, load_bundle, save_bundle
from metta.policy.stored.uri import list_versions
from metta.rl.run.run_folder import RunFolder

TENSORS = "state.safetensors"
NUMBERS = "state.json"
FORMAT = 2
STATES_KEPT = 2  # the newest, and one to fall back on


@dataclass
class Progress:
    """How far a run is: plain numbers that a resumed run goes on counting from."""

    epoch: int = 0
    agent_steps: int = 0
    train_seconds: float = 0.0
    total_seconds: float = 0.0
    reward_area: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """Everything of a run between two epochs but the weights, which are the bundle's."""

    progress: Progress
    fingerprint: dict[str, str]  # what the environments' state depends on, by name
    machine: dict[str, str]  # what the last digits of a result depend on
    tensors: dict[str, Tensor]

    def copied(self) -> "Snapshot":
        """One that stays as it is while the run goes on."""
        tensors = {name: tensor.clone() for name, tensor in self.tensors.items()}
        return replace(self, progress=replace(self.progress), tensors=tensors)


class Checkpointer:
    """Writes and finds the checkpoints of one run."""

    def __init__(self, folder: RunFolder, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self.last_saved: int | None = None

    def holds(self, epoch: int) -> bool:
        """Whether this epoch can be resumed from the disk, or is the very beginning."""
        parts = self.folder.checkpoint(epoch), self.folder.state(epoch)
        return epoch == 0 or (epoch == self.last_saved and all(part.is_dir() for part in parts))

    def save(self, net: ComponentNet, snapshot: Snapshot) -> bool:
        """Write a checkpoint. When the disk is full, warn, keep what was there and return False."""
        epoch = snapshot.progress.epoch
        try:
            self._check_space(net, snapshot)
            save_snapshot(self.folder.state(epoch), snapshot)
            save_bundle(self.folder.checkpoint(epoch), net, self.folder.name, epoch, snapshot.progress.agent_steps)
        except OSError as error:
            why = "the disk is full" if disk_full(error) else str(error)
            last = "no checkpoint yet" if self.last_saved is None else f"the last checkpoint is v{self.last_saved}"
            warn(f"could not save {self.folder.checkpoint(epoch).name}: {why}; {last}, going on")
            return False
        self.last_saved = epoch
        self._prune()
        return True

    def load_newest(self) -> tuple[Bundle, Snapshot] | None:
        """The newest epoch whose bundle and state are both sound; None for a run without checkpoints.

        Each broken one that is newer costs a warning. Raise UserError if there are checkpoints but none is sound.
        """
        versions = list_versions(self.folder.path)
        for version in reversed(versions):
            try:
                loaded = load_bundle(version.folder), load_snapshot(self.folder.state(version.epoch))
            except BrokenBundleError as error:
                warn(f"{error}; taking the checkpoint before")
                continue
            self.last_saved = version.epoch
            return loaded
        if versions:
            raise UserError(f"run={self.folder.name}: no checkpoint of it can be resumed; choose another run name")
        return None

    def _check_space(self, net: ComponentNet, snapshot: Snapshot) -> None:
        tensors = [*net.state_dict().values(), *snapshot.tensors.values()]
        needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if shutil.disk_usage(self.folder.path).free < needed:
            raise OSError(errno.ENOSPC, "No space left on device")

    def _prune(self) -> None:
        """Remove old trainer states, and old checkpoints if only so many are to be kept."""
        states = sorted(int(entry.name[1:]) for entry in self.folder.states.glob("v*") if entry.name[1:].isdecimal())
        for epoch in states[:-STATES_KEPT]:
            remove_folder(self.folder.state(epoch))
        if self.keep:
            for version in list_versions(self.folder.path)[: -self.keep]:
                remove_folder(version.folder)


def save_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Write a trainer state; `folder` is there only once everything is on disk."""
    data = save_tensors({name: tensor.detach().cpu().contiguous() for name, tensor in snapshot.tensors.items()})
    numbers: dict[str, Any] = {
        "format": FORMAT,
        "progress": asdict(snapshot.progress),
        "world": snapshot.fingerprint,
        "machine": snapshot.machine,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    numbers["check"] = _check(numbers)
    with atomic_folder(folder) as partial:
        (partial / TENSORS).write_bytes(data)
        (partial / NUMBERS).write_text(json.dumps(numbers, indent=2) + "\n")


def load_snapshot(folder: Path) -> Snapshot:
    """Read and verify a trainer state. Raise BrokenBundleError when it is missing, cut short or damaged."""
    try:
        numbers = json.loads((folder / NUMBERS).read_bytes())
        if numbers["check"] != _check(numbers):
            raise BrokenBundleError(f"{folder}/{NUMBERS}: damaged or edited (its SHA-256 does not match)")
        data = (folder / TENSORS).read_bytes()
        if numbers["sha256"] != hashlib.sha256(data).hexdigest():
            raise BrokenBundleError(f"{folder}/{TENSORS}: damaged or cut short (its SHA-256 does not match)")
        known = {field.name for field in fields(Progress)}
        progress = Progress(**{key: value for key, value in numbers["progress"].items() if key in known})
        fingerprint = numbers["world"] if numbers["format"] == FORMAT else {}  # formerly one hash of it all
        return Snapshot(progress, fingerprint, numbers.get("machine", {}), load_tensors(data))
    except OSError as error:
        raise BrokenBundleError(f"{folder}: no complete trainer state ({error.strerror})") from error
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, SafetensorError) as error:
        raise BrokenBundleError(f"{folder}: not a trainer state ({error})") from error


def _check(numbers: dict[str, Any]) -> str:
    content = {key: value for key, value in numbers.items() if key != "check"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """State of an optimiser as named tensors: `optimizer.<parameter index>.<kind>`."""
    return {
        f"optimizer.{index}.{kind}": torch.as_tensor(value)
        for index, state in optimizer.state_dict()["state"].items()
        for kind, value in state.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], kinds: set[str]) -> bool:
    """Put back what `optimizer_tensors` gave; groups and learning rate stay the present ones. Return whether it could:
    not where there is more than the `kinds` that this optimiser keeps, as another one did."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, kind = name.split(".", 2)
            state.setdefault(int(index), {})[kind] = tensor
    if any(not kept.keys() <= kinds for kept in state.values()):
        return False
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return True
