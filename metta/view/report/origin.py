"""Where a report comes from: when it was written, by which command, with which versions."""

import platform
import shlex
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from metta.common.digests import SHOWN
from metta.eval.match import engine_version


def origin() -> dict[str, str]:
    """What a reader needs to make it anew, by name; the digest is the one that `--out` files know the code by."""
    program, *words = sys.argv
    return {
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %z"),
        "command": shlex.join([Path(program).name, *words]),
        "metta": version("metta"),
        "code of engine and policies": engine_version()[:SHOWN],
        "Python": platform.python_version(),
        "torch": version("torch"),
    }
