"""Files that are either wholly there or not there: temporary name, fsync, rename."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metta.common.errors import UserError

PARTIAL = ".partial-"


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ensure_new(path: Path, ours: bytes | None = None) -> None:
    """Raise UserError if a file would be lost by writing to `path`; one in which `ours` occurs may be replaced."""
    if not path.exists() or (ours and path.is_file() and ours in path.read_bytes()):
        return
    raise UserError(f"{path} exists; it is not overwritten, name another file")


def read_bytes(path: Path, most: int) -> bytes:
    """A file of at most `most` bytes. Raises UserError for one that is missing, larger or cannot be read."""
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = b"" if size > most else file.read(size + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if max(size, len(data)) > most:
        raise UserError(f"{path}: larger than {most:,} bytes")
    return data


def read_text(path: Path, most: int) -> str:
    """A text file of at most `most` bytes. Raises UserError as `read_bytes`, and for one that is no UTF-8 text."""
    try:
        return read_bytes(path, most).decode("utf-8")
    except ValueError:
        raise UserError(f"{path}: no UTF-8 text") from None


def fsync_path(path: Path) -> None:
    """Force a file or folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    partial(path).write_bytes(data.encode() if isinstance(data, str) else data)
    fsync_path(partial(path))
    os.replace(partial(path), path)
    fsync_path(path.parent)


def partial(path: Path) -> Path:
    """Where a folder or file lies while it is not complete."""
    return path.with_name(f"{PARTIAL}{path.name}")


def begin_folder(path: Path) -> Path:
    """An empty folder to fill that becomes `path` by `finish_folder`, and is nothing until then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_folder(partial(path))
    partial(path).mkdir()
    return partial(path)


def finish_folder(path: Path) -> None:
    """Make what `begin_folder` gave for it, filled since, to `path`; one that is there is replaced. The rename is the
    moment at which the new content counts."""
    for file in partial(path).iterdir():
        fsync_path(file)
    fsync_path(partial(path))
    remove_folder(path)
    os.rename(partial(path), path)
    fsync_path(path.parent)


def give_up_folder(path: Path) -> None:
    """Remove what `begin_folder` gave for it, as far as it is still there."""
    shutil.rmtree(partial(path), ignore_errors=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it becomes `path`, on failure nothing is left of it."""
    try:
        yield begin_folder(path)
        finish_folder(path)
    except BaseException:
        give_up_folder(path)
        raise


def remove_folder(path: Path) -> None:
    """Remove a folder if it is there, renaming it first: a kill in between leaves no half folder of that name."""
    if path.exists():
        doomed = path.with_name(f"{PARTIAL}removed-{path.name.removeprefix(PARTIAL)}")
        shutil.rmtree(doomed, ignore_errors=True)
        os.rename(path, doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def remove_partials(folder: Path) -> None:
    """Remove what a killed process left half written in `folder`."""
    for leftover in folder.glob(f"{PARTIAL}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def ensure_writable(folder: Path, setting: str) -> None:
    """Create `folder` and write a probe into it. Raise UserError naming `setting` if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f"{PARTIAL}probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)  # another thread may try the same
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(f"{setting}={folder}: cannot write there ({reason})") from error


def check_writable(path: Path, setting: str) -> None:
    """Raise UserError naming `setting` where a file or folder at `path` could not be written. Writes nothing."""
    place = path.absolute()
    while not os.path.lexists(place):
        place = place.parent
    if place != path.absolute() and not place.is_dir():
        raise UserError(f"{setting}={path}: cannot be written, {place} is no folder")
    if not os.access(place, os.W_OK):
        raise UserError(f"{setting}={path}: cannot be written, {place} may not be changed")


@contextmanager
def writing(path: object) -> Iterator[None]:
    """Raise UserError where what is written inside, named by its path, cannot be."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None


def disk_full(error: OSError) -> bool:
    """Whether the error says that no space or quota is left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
