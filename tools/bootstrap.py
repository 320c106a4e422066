"""Lets the tools start with any Python: switches to the project's .venv where packages are missing."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("hydra", "numba", "omegaconf", "pydantic", "rich", "torch")


def ensure_packages() -> None:
    """Put the project on the path; restart under .venv/bin/python if this Python lacks a package."""
    sys.excepthook = _without_a_word
    sys.path.insert(0, str(ROOT))
    missing = [name for name in NEEDED if find_spec(name) is None]
    if not missing:
        _stand_somewhere()
        return
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists() or Path(sys.prefix) == ROOT / ".venv":
        sys.exit(f"error: missing Python packages: {', '.join(missing)}; run 'make setup' first")
    os.execv(python, [str(python), *sys.argv])


def _stand_somewhere() -> None:
    """Say so where the working folder is gone, before a library that is loaded ends the process."""
    from metta.common.commands import guarded

    if code := guarded(lambda: 0):
        sys.exit(code)


def _without_a_word(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C while the packages are loaded, which takes seconds, is answered without a traceback."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
