"""Where a report comes from: when it was written, by which command, with which versions."""

import platform
import shlex
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from metta.common.digests import SHOWN, digest_sources
from metta.eval.out_file import PLAYING


def origin() -> dict[str, str]:
    """What a reader needs to make it anew, by name; the digest is the one that `--out` files know the code by."""
    program, *words = sys.argv
    return {
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %z"),
        "command": shlex.join([Path(program).name, *words]),
        "metta": version("metta"),
        "code of engine and policies": digest_sources(*PLAYING)[:SHOWN],
        "Python": platform.python_version(),
        "torch": version("torch"),
    }
