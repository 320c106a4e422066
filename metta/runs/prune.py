"""Removing runs, or their older checkpoints, from a train_dir; never of a run that is going on."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from metta.common.errors import UserError
from metta.common.files import remove_folder
from metta.policy.stored.sources.runs import best_of, list_versions
from metta.rl.run.run_folder import RunFolder
from metta.rl.run.run_lock import hold_lock, is_running

BLOCK = 512  # bytes, as stat counts them


@dataclass(frozen=True)
class Doomed:
    """What is to go of one run."""

    run: RunFolder
    what: str
    paths: list[Path]
    size: int  # bytes on disk


def plan_prune(
    folders: Iterable[RunFolder], older_than: timedelta | None, keep_checkpoints: int | None
) -> tuple[list[Doomed], list[str]]:
    """What goes: whole runs, or of each all but the newest `keep_checkpoints` and the best; and why the others stay, a
    line each."""
    doomed, kept = [], []
    for run in folders:
        idle = datetime.now(UTC) - last_written(run)
        if run.path.is_symlink():
            kept.append(f"{run.name}: a link to {run.path.resolve()}, not followed")
        elif is_running(run.path):
            kept.append(f"{run.name}: running")
        elif older_than is not None and idle < older_than:
            continue
        elif keep_checkpoints is None:
            checkpoints = len(list_versions(run.path))
            what = f"the whole run, {checkpoints} checkpoints, last written {_days(idle)} ago"
            doomed.append(Doomed(run, what, [run.path], disk_usage(run.path)))
        else:
            versions = list_versions(run.path)
            older, best = versions[: max(0, len(versions) - keep_checkpoints)], _best(run)
            if old := [version for version in older if f"v{version.epoch}" != best]:
                what = f"{len(old)} of {len(versions)} checkpoints, up to v{old[-1].epoch}"
                paths = [version.folder for version in old]
                doomed.append(Doomed(run, what, paths, sum(map(disk_usage, paths))))
    return doomed, kept


def _best(run: RunFolder) -> str | None:
    """The version that is called the run's best, if any."""
    with suppress(UserError):
        return best_of(run.path)
    return None


def prune(doomed: Doomed) -> int:
    """Remove it and return the bytes freed. Raises UserError if the run has started since, or cannot be removed."""
    try:
        with hold_lock(doomed.run.path):
            for path in doomed.paths:
                remove_folder(path)
    except OSError as error:
        raise UserError(f"{doomed.run.path}: cannot be removed ({error.strerror})") from None
    return doomed.size - sum(disk_usage(path) for path in doomed.paths if path.exists())


def last_written(run: RunFolder) -> datetime:
    """When a run last wrote its metrics or a checkpoint."""
    files = [path for path in (run.metrics, run.checkpoints, run.path) if path.exists()]
    return datetime.fromtimestamp(max(path.stat().st_mtime for path in files), UTC)


def disk_usage(path: Path) -> int:
    """Bytes that a file or folder takes on disk, links not followed."""
    own = path.lstat().st_blocks * BLOCK
    return own + sum(map(disk_usage, path.iterdir())) if path.is_dir() and not path.is_symlink() else own


def show_bytes(count: int) -> str:
    """A size for people: 1.5 MB."""
    size, units = float(count), iter(("bytes", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while size >= 1000 and unit != "TB":
        size, unit = size / 1000, next(units)
    return f"{size:.3g} {unit}" if size < 100 else f"{size:.0f} {unit}"


def _days(time: timedelta) -> str:
    if time.days:
        return f"{time.days} days"
    return f"{time.seconds // 3600} h {time.seconds % 3600 // 60} min"
