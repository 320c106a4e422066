#!/usr/bin/env python3
"""Agent-steps per second of PuffeRL in the aligner notebook, its cells as they stand, and of its environments alone."""

import argparse
import json
import os
import re
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line
from benchmarks.machine import machine
from benchmarks.original import CHILD, Child, Original, Pairs, add_options, against_original, one_core
from metta.common.commands import Parser, at_least

ROOT = Path(__file__).parents[1]
CELL = re.compile(r"^```python\n(.*?)^```$", re.S | re.M)
OFFERED = ".tutorials."  # a package of later releases, in which the original of these benchmarks has no tutorials
Side = dict[str, Any]


class Ours(Child):
    """The notebook on this engine, in a program of its own; what it answers is of one round."""

    what = "the notebook"

    def __init__(self, cells: list[str]) -> None:
        command = [sys.executable, str(CHILD), "notebook", json.dumps({"cells": cells})]
        super().__init__(command, {**os.environ, "PYTHONPATH": str(ROOT)})


def cells() -> tuple[str, ...]:
    """The notebook's code up to its trainer, the cell first that offers the names here."""
    found = CELL.findall((ROOT / "notebooks" / "aligner.md").read_text())
    trainer = next(number for number, cell in enumerate(found) if "pufferl.PuffeRL(" in cell)
    return tuple(found[: trainer + 1])


def original_cells() -> list[str]:
    """The same as the original has it."""
    return [cell.replace(OFFERED, ".") for cell in cells()[1:]]


def rounds(args: argparse.Namespace) -> dict[str, Side]:
    """What is measured, by what it is called, and what asks for it."""
    return {
        "PuffeRL in the aligner notebook": {"round": "train"},
        "its environments alone": {"round": "env", "steps": args.steps},
    }


def compare(args: argparse.Namespace, python: str) -> list[Side]:
    """Rounds in turns with the original."""
    with Ours(list(cells())) as ours, Original(python, "notebook", cells=original_cells()) as original:
        measured = {what: Pairs(original) for what in rounds(args)}
        for turn in range(args.pairs + 1):
            for what, request in rounds(args).items():
                answer = ours.ask(**request)
                if turn:  # the first warms up
                    measured[what].add(answer["agent_steps"] / answer["seconds"], **request)
                else:
                    original.ask(**request)
        said = {name: ours.said[name] for name in ("parameters", "threads")}
        rows = [{"what": what, **pairs.result(), **said} for what, pairs in measured.items()]
    training, alone = rows
    for whose in ("", "original_"):
        rate = f"{whose}agent_steps_per_cpu_second"
        training[f"{whose}share_of_environments"] = round(training[rate] / alone[rate], 3)
    return rows


def measure(args: argparse.Namespace) -> list[Side]:
    """This side by itself, on one core."""
    rates: dict[str, list[float]] = {what: [] for what in rounds(args)}
    with one_core(), Ours(list(cells())) as ours:
        for turn in range(args.pairs + 1):
            for what, request in rounds(args).items():
                answer = ours.ask(**request)
                if turn:
                    rates[what].append(answer["agent_steps"] / answer["seconds"])
        said = {name: ours.said[name] for name in ("parameters", "threads")}
    return [
        {"what": what, "agent_steps_per_cpu_second": round(statistics.median(values)), "lowest": round(min(values)),
         "highest": round(max(values)), **said}
        for what, values in rates.items()
    ]  # fmt: skip


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--steps", type=at_least(1), default=1000, help="steps of the environments alone in a round")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    add_options(parser)
    args = parser.parse_args(argv)
    if args.against:
        return against_original("puffer", args, compare)
    rows = measure(args)
    if args.json:
        print(json.dumps({"benchmark": "puffer", "rows": rows, **machine()}))
        return 0
    for row in rows:
        rate, least, most = (row[name] for name in ("agent_steps_per_cpu_second", "lowest", "highest"))
        print(f"{row['what']}: {rate:,} agent-steps per second of processor time ({least:,} to {most:,})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
