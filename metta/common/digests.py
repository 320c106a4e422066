"""Short names for contents: equal contents have equal digests."""

import hashlib
import json
from pathlib import Path
from typing import Any

from metta.common.files import sha256

SHOWN = 8  # characters of a digest in messages


def digest(*parts: Any) -> str:
    """SHA-256, in hex, over values that JSON knows; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def digest_sources(*packages: Path) -> str:
    """Digest of all Python files of packages."""
    files = [(str(path.relative_to(package)), path) for package in packages for path in sorted(package.rglob("*.py"))]
    return digest([[name, sha256(path)] for name, path in files])


def digest_path(path: Path) -> str:
    """SHA-256 over a file, or over all files in a folder with their names. Raises OSError."""
    if path.is_dir():
        return digest({str(file.relative_to(path)): sha256(file) for file in path.rglob("*") if file.is_file()})
    return sha256(path)
