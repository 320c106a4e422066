#!/usr/bin/env python3
"""Play random missions on the engine and on the slow reference of the tests until they disagree or time is up."""

import argparse
import sys
import time
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which python -I does not

from bootstrap import ensure_packages

ROUND = 50  # cases between two looks at the clock


def main(argv: list[str] | None = None) -> int:
    """Returns 0 when all cases agree, 1 at the first that does not, 2 when it cannot start."""
    if not find_spec("hypothesis"):
        print("error: the Python package hypothesis is missing; run 'make setup' first", file=sys.stderr)
        return 2
    from tests.game.reference.cases import Case
    from tests.game.reference.fuzz import Finding, hunt

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long to look (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first round; each round counts one on")
    parser.add_argument("--case", metavar="JSON", help="play this one case, as printed with a finding")
    args = parser.parse_args(argv)
    if args.case:
        try:
            case = Case.from_json(args.case)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            print(f"error: --case is no case: {error}", file=sys.stderr)
            return 2
        try:
            case.play()
        except Exception as error:
            print(Finding(case, error))
            return 1
        print("the case agrees")
        return 0
    start, rounds = time.monotonic(), 0
    while not rounds or time.monotonic() - start < args.seconds:
        finding = hunt(args.seed + rounds, ROUND)
        rounds += 1
        if finding:
            print(finding)
            return 1
    print(f"{rounds * ROUND} cases agree (seeds {args.seed} to {args.seed + rounds - 1})")
    return 0


if __name__ == "__main__":
    ensure_packages()
    sys.exit(main())
