"""Checkpoints in run folders: `train_dir/run/checkpoints/run:v5`."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from metta.common.errors import UserError, suggest
from metta.common.files import read_bytes
from metta.policy.stored.sources.place import SPEC

CHECKPOINTS = "checkpoints"
VERSION = re.compile(r":(latest|best|v\d+)$")
BEST = "best.json"  # which checkpoint of a run was the best in evaluations as it trained: {"epoch": 5, …}
MOST_BEST_BYTES = 10_000
MOST_EPOCH = 10**18


@dataclass(frozen=True)
class Version:
    """One checkpoint of a run."""

    epoch: int
    folder: Path


def list_versions(run: Path) -> list[Version]:
    """Checkpoints of a run folder, oldest first, whether sound or not."""
    names = [entry.name for entry in (run / CHECKPOINTS).glob("*")]
    return [Version(epoch, run / CHECKPOINTS / name) for epoch, name in versions_among(run.name, names)]


def versions_among(run: str, names: Iterable[str]) -> list[tuple[int, str]]:
    """Epoch and name of those that are checkpoints of the run, oldest first."""
    pattern = re.compile(rf"{re.escape(run)}:v(\d{{1,18}})")
    return sorted((int(match[1]), name) for name in names if (match := pattern.fullmatch(name)))


def split_version(uri: str) -> tuple[str, str]:
    """Run and version (`latest` where none is given) of `run:v5`."""
    path, _, version = uri.rpartition(":") if VERSION.search(uri) else (uri, "", "latest")
    return path, version


def parse_best(data: bytes, origin: str) -> str:
    """The version that a run's best.json names: v5. Raises UserError for what is none."""
    try:
        epoch = json.loads(data)["epoch"]
    except (ValueError, TypeError, KeyError, RecursionError):
        epoch = None
    if type(epoch) is not int or not 0 <= epoch < MOST_EPOCH:
        raise UserError(f"{origin}: damaged, it names no epoch; name a checkpoint, or latest")
    return f"v{epoch}"


def best_of(run: Path) -> str | None:
    """The version that is called a run's best: v5; None where none is. Raises UserError for a damaged best.json."""
    path = run / BEST
    return parse_best(read_bytes(path, MOST_BEST_BYTES), str(path)) if path.is_file() else None


def no_best(uri: str, run: str) -> UserError:
    why = "no evaluation chose one as it trained (evaluator.epoch_interval=N, checkpointer.keep_best)"
    return UserError(f"{uri}: run {run} has no best checkpoint: {why}; {run}:latest is its newest")


def no_version(uri: str, run: str, version: str, have: list[str]) -> UserError:
    listed = ", ".join(have) or "none yet"
    return UserError(f"{uri}: run {run} has no checkpoint {version}{suggest(version, have)}; it has {listed}")


def find_run(uri: str, path: Path, data_dir: Path, names: Iterable[str]) -> Path:
    """The run that a path means: itself, or a name under the data folder; `names` mean other things."""
    for candidate in (path, data_dir / path):
        if (candidate / CHECKPOINTS).is_dir():
            return candidate.resolve()
    raise UserError(_missing(uri, path, data_dir, names))


def _missing(uri: str, path: Path, data_dir: Path, names: Iterable[str]) -> str:
    """One line on what is not there, with what is near it."""
    around = _try(lambda: [entry.name for entry in path.parent.iterdir()]) if path.parent != Path(".") else []
    run = path.parent.parent if path.parent.name == CHECKPOINTS else path
    parent = run.parent if run.parent != Path(".") else data_dir
    runs = [entry.name for entry in _try(lambda: list(parent.iterdir())) if (entry / CHECKPOINTS).is_dir()]
    hint = suggest(path.name, [*around, *runs, *names])
    if run != path and run.name in runs:
        have = [f"{run}:v{version.epoch}" for version in list_versions(run)]
        known = f"checkpoints of {run.name}: {', '.join(have[-5:]) or 'none yet'}"
    else:
        known = f"runs in {parent}: {', '.join(sorted(runs)[:8])}" if runs else f"there are no runs in {parent}"
    if uri and path.is_dir():
        return f"policy {uri!r}: a folder with neither {SPEC} nor {CHECKPOINTS}; {known}"
    return f"policy {uri!r}: neither a built-in policy, a file, a bundle nor a run{hint}; {known}"


def _try(listing: Callable[[], list]) -> list:
    """A listing, empty where the folder cannot be read."""
    try:
        return listing()
    except OSError:
        return []
