"""Where compiled code is kept: one folder per version of the sources.

Numba's cache looks only at the file of the function itself, not at the files of the functions it calls; so the cache
folder carries a hash of all sources of the package. Numba reads the variable when it is first imported; one that was
imported before is told.
"""

import atexit
import hashlib
import os
import sys
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from metta.common.errors import UserError
from metta.common.files import ensure_writable

PACKAGE = Path(__file__).parent
VARIABLE = "NUMBA_CACHE_DIR"
_problems: list[str] = []  # with keeping compiled code


def source_hash(package: Path = PACKAGE) -> str:
    """Hash over all Python files of a package."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def use_versioned_cache() -> None:
    """Send numba's cache to the user's cache folder, unless the user has chosen one; where nothing can be written, to
    one that lasts as long as this process."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.setdefault(VARIABLE, str(root / "metta" / "numba" / source_hash())))
    try:
        ensure_writable(folder, VARIABLE)
    except UserError as error:
        _problems.append(str(error))
        os.environ[VARIABLE] = mkdtemp(prefix="metta-numba-")
        atexit.register(rmtree, os.environ[VARIABLE], ignore_errors=True)
    if numba := sys.modules.get("numba"):
        numba.config.CACHE_DIR = os.environ[VARIABLE]


def cache_problem() -> str:
    """Why compiled code cannot be kept; empty where it can."""
    return "".join(_problems)
