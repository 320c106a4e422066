#!/usr/bin/env python3
"""Replay recorded episodes on the engine and compare every array at every step."""

import argparse
import sys
import time
from pathlib import Path

from metta.common.errors import UserError
from metta.game.traces import check_trace


def main(argv: list[str] | None = None) -> int:
    """Returns 0 when every file agrees, 1 when any differs or cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz", help="recorded episodes")
    failed = 0
    files: list[Path] = parser.parse_args(argv).files
    for path in files:
        start = time.perf_counter()
        try:
            steps, difference = check_trace(path)
        except UserError as error:
            failed += 1
            print(f"ERROR {error}")
            continue
        failed += difference is not None
        seconds = time.perf_counter() - start
        print(
            f"DIFFERS {path.stem}: {difference}"
            if difference
            else f"ok {path.stem}: {steps} steps equal, {seconds:.1f} s"
        )
    print(f"{len(files) - failed} of {len(files)} traces equal")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
