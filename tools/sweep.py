#!/usr/bin/env python3
"""The sweeps in train_dir: how they stand, their best trials, pictures, the winner against the defaults."""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which python -I does not

from bootstrap import ensure_packages

REFRESH = 2.0  # seconds


def status(flags: argparse.Namespace) -> int:
    """Print every trial; with --watch again and again until the sweep is at its end."""
    from metta.sweep.results import read_results, trial_table

    while True:
        results = read_results(flags.plan)
        if flags.watch:
            print("\033[2J\033[H", end="")
        print(trial_table(results, every=True), flush=True)
        if not flags.watch or not any(trial.state in ("running", "cut", "waiting") for trial in results.trials):
            return 0
        time.sleep(REFRESH)


def top(flags: argparse.Namespace) -> int:
    """Print the best trials beside the baseline."""
    from metta.sweep.results import read_results, trial_table

    print(trial_table(read_results(flags.plan), most=flags.limit))
    return 0


def plot(flags: argparse.Namespace) -> int:
    """Write the page and the picture."""
    from metta.sweep.page import write_page
    from metta.sweep.results import read_results

    results = read_results(flags.plan)
    path = flags.output or flags.plan.folder / "sweep.html"
    picture = write_page(results, path, flags.plan.folder)
    print(f"{path}, {picture}: {len(results.trials)} trials of {flags.plan.name}")
    return 0


def compare(flags: argparse.Namespace) -> int:
    """Play the best trial and the baseline on new seeds and print both with their intervals."""
    from metta.eval.statistics import as_cells, interval_head
    from metta.runs.text import table
    from metta.sweep.judge import compare as judge
    from metta.sweep.results import read_results

    results = read_results(flags.plan)
    judged = judge(results, flags.episodes, flags.metric)
    rows = [
        (f"trial {results.best.number}, the best", *as_cells(judged.best)),
        ("the defaults", *as_cells(judged.baseline)),
        ("gain, by pairs of episodes", *as_cells(judged.gain)),
    ]
    print(table((judged.metric, "mean", interval_head(flags.episodes)), rows, right=(1, 2)))
    verdict = {1: "better than", -1: "worse than", 0: "not shown to differ from", None: "too few episodes to tell from"}
    print(f"the best trial is {verdict[judged.gain.sign]} the defaults on seeds that neither has seen")
    return 0


def best(flags: argparse.Namespace) -> int:
    """Print the settings of the best trial as words; with --write make them an experiment file."""
    from metta.config.words import as_typed
    from metta.sweep.results import read_results
    from metta.sweep.winner import write_experiment

    results = read_results(flags.plan)
    found = results.best
    words = " ".join(f"{path}={as_typed(value)}" for path, value in found.values.items())
    print(words or "the defaults: no trial was better")
    if flags.write:
        write_experiment(results, flags.write)
        print(f"{flags.write}: python tools/train.py +user={flags.write.stem} run=NAME", file=sys.stderr)
    return 0


def _flags() -> argparse.ArgumentParser:
    from metta.common.commands import Parser, at_least

    shared = Parser(add_help=False)
    shared.add_argument("name", metavar="NAME", help="name of the sweep: its folder in train_dir")
    shared.add_argument("--data-dir", type=Path, default=Path("train_dir"), help="folder that holds the sweeps")
    shared.add_argument("--storage", help="postgresql+psycopg://…, where its address holds a password")
    parser = Parser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    def command(name: str, run: object, help: str) -> argparse.ArgumentParser:
        part = commands.add_parser(name, help=help, description=help, parents=[shared])
        part.set_defaults(call=run)
        return part

    part = command("status", status, "list every trial")
    part.add_argument("--watch", action="store_true", help="again and again, until all have ended")
    part = command("top", top, "list the best trials")
    part.add_argument("--limit", type=at_least(1), default=10, help="how many; default: 10")
    part = command("plot", plot, "write an HTML page and a PNG")
    part.add_argument("--output", type=Path, help="the page; default: sweep.html in the sweep's folder")
    part = command("compare", compare, "play the best trial and the defaults on new seeds")
    part.add_argument("--episodes", type=at_least(2), default=30, help="episodes of each; default: 30")
    part.add_argument("--metric", default="reward", help="metric of the evaluation; default: reward")
    part = command("best", best, "print the settings of the best trial")
    part.add_argument("--write", type=Path, metavar="FILE", help="make them an experiment file: configs/user/NAME.yaml")
    return parser


def main(argv: list[str] | None = None) -> int:
    from metta.common.commands import guarded

    def run() -> int:
        from metta.sweep.results import read_plan

        flags = _flags().parse_args(argv)
        flags.plan = read_plan(flags.name, flags.data_dir, flags.storage)
        return flags.call(flags)

    return guarded(run)


if __name__ == "__main__":
    ensure_packages()
    sys.exit(main())
