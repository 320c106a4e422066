"""Which code runs: what a run notes so that its results can be traced to it."""

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SECONDS = 5


def code_version(file: Path = Path(__file__)) -> dict[str, Any]:
    """`version` of the package, git `commit` and `dirty` (tracked files differ from it); None where unknown."""
    try:
        package = version("metta")
    except PackageNotFoundError:
        package = None
    tracked = _git(file.parent, "ls-files", "--error-unmatch", file.name) is not None
    changes = _git(file.parent, "status", "--porcelain", "--untracked-files=no") if tracked else None
    commit = _git(file.parent, "rev-parse", "HEAD") if tracked else None
    return {"version": package, "commit": commit, "dirty": None if changes is None else bool(changes)}


def _git(folder: Path, *words: str) -> str | None:
    """What git says, None if it is not there, fails or takes long."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
