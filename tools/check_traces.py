#!/usr/bin/env python3
"""Replay recorded episodes on the engine and compare every array at every step."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which python -I does not

from bootstrap import ensure_packages

if TYPE_CHECKING:
    from metta.game.traces import Build


def check(path: Path, backend: Literal["cpu", "cuda"], build: "Build", say: Callable[[str], None]) -> int | None:
    """Replay one file and say a line about it; returns its steps where everything was equal, else None."""
    from metta.common.errors import UserError
    from metta.game.traces import check_trace

    start = time.perf_counter()
    try:
        steps, difference = check_trace(path, backend, build)
    except UserError as error:
        say(f"ERROR {error}")
        return None
    seconds = time.perf_counter() - start
    equal = f"ok {path.stem}: {steps} steps equal, {seconds:.1f} s"
    say(f"DIFFERS {path.stem}: {difference}" if difference else equal)
    return None if difference else steps


def main(argv: list[str] | None = None) -> int:
    """Returns 0 when every file agrees, 1 when any differs or cannot be read. Raises UserError for a mission that there
    is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz", help="recorded episodes")
    parser.add_argument(
        "--mission",
        metavar="NAME|FILE",
        help="what was played, by name or as a MettaGridConfig in a .py (which is run), .yaml or .json file; "
        "by default each trace says it",
    )
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cpu", help="where the engine runs")
    parser.add_argument("--json", action="store_true", help="print one line of JSON; the lines go to standard error")
    args = parser.parse_args(argv)
    files: list[Path] = args.files
    say = partial(print, file=sys.stderr if args.json else sys.stdout, flush=True)
    from metta.compat.traces import build_as

    build = build_as(args.mission)
    equal = [steps for path in files if (steps := check(path, args.backend, build, say)) is not None]
    say(f"{len(equal)} of {len(files)} traces equal")
    if args.json:
        sums = {"traces": len(files), "equal": len(equal), "steps_equal": sum(equal)}
        print(json.dumps({"benchmark": "check_traces", "backend": args.backend, **sums}))
    return 0 if len(equal) == len(files) else 1


if __name__ == "__main__":
    ensure_packages()
    from metta.common.commands import guarded

    sys.exit(guarded(main))
