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
    partial = path.with_name(f"{PARTIAL}{path.name}")
    partial.write_bytes(data.encode() if isinstance(data, str) else data)
    fsync_path(partial)
    os.replace(partial, path)
    fsync_path(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it becomes `path`, on failure nothing is left of it.

    An existing `path` is replaced. Its rename is the moment at which the new content counts.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{PARTIAL}{path.name}")
    remove_folder(partial)
    partial.mkdir()
    try:
        yield partial
        for file in partial.iterdir():
            fsync_path(file)
        fsync_path(partial)
        remove_folder(path)
        os.rename(partial, path)
        fsync_path(path.parent)
    except BaseException:
        remove_folder(partial)
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
        probe.unlink()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(f"{setting}={folder}: cannot write there ({reason})") from error


def disk_full(error: OSError) -> bool:
    """Whether the error says that no space or quota is left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
