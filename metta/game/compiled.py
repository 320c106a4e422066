"""How game code is compiled: one decorator, one cache per version of the sources.

Numba's cache looks only at the file of the function itself, not at the files of the functions it calls; so the cache
folder carries a hash of all sources of the package.
"""

import hashlib
import os
import sys
from pathlib import Path

import numba

PACKAGE = Path(__file__).parent


def source_hash(package: Path = PACKAGE) -> str:
    """Hash over all Python files of a package."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def use_versioned_cache() -> None:
    """Send numba's cache to the user's cache folder, one folder per version of the sources."""
    if not os.environ.get("NUMBA_CACHE_DIR"):
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        numba.config.CACHE_DIR = str(root / "metta" / "numba" / source_hash())


def announce_compilation() -> None:
    """Say once, on standard error, that the first use of a version of the sources compiles it."""
    folder = Path(numba.config.CACHE_DIR)
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print("compiling the engine for this machine (once, about a minute) ...", file=sys.stderr, flush=True)


# A rule: compiled for whichever target calls it. Rules allocate nothing, so reference counting is off (it cost more
# than half of a step), and they are inlined into the loop that calls them. `numpy` errors: a division never raises.
rule = numba.njit(cache=True, error_model="numpy", nogil=True, forceinline=True, _nrt=False)
