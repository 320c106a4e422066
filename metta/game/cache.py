"""Where compiled code is kept: one folder per version of the sources.

Numba's cache looks only at the file of the function itself, not at the files of the functions it calls; so the cache
folder carries a hash of all sources of the package. Numba reads the variable when it is first imported; one that was
imported before is told.
"""

import hashlib
import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent
VARIABLE = "NUMBA_CACHE_DIR"


def source_hash(package: Path = PACKAGE) -> str:
    """Hash over all Python files of a package."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def use_versioned_cache() -> None:
    """Send numba's cache to the user's cache folder, unless the user has chosen one."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault(VARIABLE, str(root / "metta" / "numba" / source_hash()))
    if numba := sys.modules.get("numba"):
        numba.config.CACHE_DIR = os.environ[VARIABLE]


def announce_compilation() -> None:
    """Say once, on standard error, that the first use of a version of the sources compiles it."""
    folder = Path(os.environ[VARIABLE])
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print("compiling the engine for this machine (once, about a minute) ...", file=sys.stderr, flush=True)
