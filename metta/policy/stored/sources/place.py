"""Where a policy lies: files by name, read whole and never more of them than is allowed."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from metta.common.errors import UserError

SPEC = "policy_spec.json"
MOST_BYTES = 2 << 30  # of one file
MOST_SPEC_BYTES = 1 << 20


class BrokenBundleError(UserError):
    """What lies there is no complete, undamaged policy."""


def leads_out(name: str) -> bool:
    """Does a path within a bundle lead out of it, or nowhere?"""
    path = PurePosixPath(name.replace("\\", "/"))
    return not path.parts or path.is_absolute() or ".." in path.parts


class Files(Protocol):
    """Files that lie beside each other."""

    def has(self, name: str) -> bool: ...

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        """All of a file. Raise UserError for one that is larger than `most` bytes or lies elsewhere, OSError."""
        ...


@dataclass(frozen=True)
class Place:
    """What a URI names.

    `main` is the file that is meant, None for a folder that its spec describes; `path` is where a local one lies.
    """

    origin: str  # for messages
    name: str  # for tables
    files: Files
    main: str | None = None
    path: Path | None = None


@dataclass(frozen=True)
class Folder:
    """The files of a local folder; links that lead out of it are refused."""

    path: Path

    def has(self, name: str) -> bool:
        return os.path.lexists(self.path / name)

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        path = self.path / name
        if leads_out(name) or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.path)):
            raise UserError(f"{path}: leads out of its folder")
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: no plain file")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise UserError(f"{path}: larger than {most:,} bytes")
            return file.read(size)  # memory is taken for as much as is asked for


def local_place(path: Path) -> Place:
    """A bundle's folder, or a file with what lies beside it."""
    if path.is_dir():
        return Place(str(path), path.name, Folder(path), path=path)
    return Place(str(path), path.name, Folder(path.parent), path.name, path)
