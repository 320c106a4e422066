#!/usr/bin/env python3
"""Replay recorded episodes on the engine and compare every array at every step."""

import argparse
import sys
import time
from pathlib import Path
from typing import Literal

from bootstrap import ensure_packages


def check(path: Path, backend: Literal["cpu", "cuda"]) -> bool:
    """Replay one file and print a line about it; returns whether everything was equal."""
    from metta.common.errors import UserError
    from metta.game.traces import check_trace

    start = time.perf_counter()
    try:
        steps, difference = check_trace(path, backend)
    except UserError as error:
        print(f"ERROR {error}")
        return False
    seconds = time.perf_counter() - start
    equal = f"ok {path.stem}: {steps} steps equal, {seconds:.1f} s"
    print(f"DIFFERS {path.stem}: {difference}" if difference else equal)
    return difference is None


def main(argv: list[str] | None = None) -> int:
    """Returns 0 when every file agrees, 1 when any differs or cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz", help="recorded episodes")
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cpu", help="where the engine runs")
    args = parser.parse_args(argv)
    files: list[Path] = args.files
    equal = sum([check(path, args.backend) for path in files])
    print(f"{equal} of {len(files)} traces equal")
    return 0 if equal == len(files) else 1


if __name__ == "__main__":
    ensure_packages()
    sys.exit(main())
