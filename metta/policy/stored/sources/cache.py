"""Files from elsewhere: downloaded once, kept by the hash of their content, going on where a download was cut.

`blobs/<sha256>` are whole files, `known/<key>` says which blob a file elsewhere became (the key hashes its
address, size and tag), `parts/<key>` is what has come so far.
"""

import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from metta.common.errors import UserError, printable
from metta.common.files import write_atomic
from metta.common.logging import debug
from metta.policy.stored.sources.place import MOST_BYTES

TRIES = 5  # without any progress
Report = Callable[[int], None]


class LostConnectionError(Exception):
    """The other side stopped answering; another try may go on."""


@dataclass(frozen=True)
class Remote:
    """A file elsewhere. `tag` changes when its content does; `read(n)` gives its bytes from the n-th on, as (start,
    chunks): start is 0 where the server cannot begin in the middle."""

    uri: str
    size: int
    tag: str
    read: Callable[[int], tuple[int, Iterator[bytes]]]
    md5: str = ""  # hex, where the source tells it
    sha256: str = ""

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.uri}\n{self.size}\n{self.tag}".encode()).hexdigest()


def cache_folder() -> Path:
    """$METTA_CACHE, else the user's cache folder."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("METTA_CACHE") or root / "metta" / "policies")


def fetch(remote: Remote, most: int = MOST_BYTES) -> bytes:
    """The content of a file elsewhere, from the cache if it is there undamaged.

    Raise UserError for one that is too large, does not arrive or is not what its source says.
    """
    if remote.size > most:
        raise UserError(f"{remote.uri}: {remote.size:,} bytes, larger than {most:,}")
    cache = cache_folder()
    try:
        for folder in ("blobs", "known", "parts"):
            (cache / folder).mkdir(parents=True, exist_ok=True)
        part = cache / "parts" / remote.key
        with _alone(part):
            known = _known(cache, remote)
            debug(f"{remote.uri}: {remote.size:,} bytes, {'kept' if known else 'to be downloaded'} in {cache}")
            return known or _download(cache, remote, part)
    except OSError as error:
        raise UserError(f"{remote.uri}: cannot be kept in {cache} ({error.strerror or error})") from None


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """One process at a time downloads a file; the others wait and find it whole."""
    with open(part.with_suffix(".lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _known(cache: Path, remote: Remote) -> bytes | None:
    """What was downloaded before; None if it was not, or is damaged."""
    try:
        digest = (cache / "known" / remote.key).read_text().strip()
        data = (cache / "blobs" / digest).read_bytes()
    except (OSError, ValueError):
        return None
    return data if hashlib.sha256(data).hexdigest() == digest else None


def _download(cache: Path, remote: Remote, part: Path) -> bytes:
    _receive(remote, part)
    data = part.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    for wanted, found in ((remote.sha256, digest), (remote.md5, hashlib.md5(data, usedforsecurity=False).hexdigest())):
        if wanted and wanted.lower() != found:
            part.unlink()
            raise UserError(f"{remote.uri}: refused, its hash is {found}, not {wanted} as its source says")
    os.replace(part, cache / "blobs" / digest)
    write_atomic(cache / "known" / remote.key, digest)
    return data


def _receive(remote: Remote, part: Path) -> None:
    """Fill `part`, going on after what it holds, and trying again where the connection is lost."""
    failures = 0
    with open(part, "ab") as file, _bar(remote, file.tell()) as report:
        while file.tell() != remote.size:
            before = file.tell()
            try:
                _append(remote, file, report)
            except LostConnectionError as error:
                failures = 0 if file.tell() > before else failures + 1
                if failures == TRIES:
                    kept = f"{file.tell():,} of {remote.size:,} bytes are kept, the same command goes on from there"
                    raise UserError(f"{remote.uri}: download broke off ({error}); {kept}") from None
                time.sleep(0.1 * 2**failures)


def _append(remote: Remote, file: BinaryIO, report: Report) -> None:
    start, chunks = remote.read(file.tell() if file.tell() < remote.size else 0)
    file.truncate(start)
    file.seek(start)
    for chunk in chunks:
        if file.tell() + len(chunk) > remote.size:
            file.truncate(0)
            raise UserError(f"{remote.uri}: more bytes arrive than the {remote.size:,} that were announced")
        file.write(chunk)
        file.flush()
        report(file.tell())
    if file.tell() < remote.size:
        raise LostConnectionError("the connection was closed")


@contextmanager
def _bar(remote: Remote, done: int) -> Iterator[Report]:
    """A progress bar on standard error, where that is a terminal."""
    what, speed = TextColumn("{task.description}"), (TransferSpeedColumn(), TimeRemainingColumn())
    console, hidden = Console(stderr=True), not sys.stderr.isatty()
    with Progress(what, BarColumn(), DownloadColumn(), *speed, console=console, transient=True, disable=hidden) as bar:
        name = printable(remote.uri.rpartition("/")[2]).replace("[", "\\[")
        task = bar.add_task(f"fetching {name}", total=remote.size, completed=done)
        yield lambda received: bar.update(task, completed=received)
