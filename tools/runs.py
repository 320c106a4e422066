#!/usr/bin/env python3
"""The runs in train_dir: list them, compare their settings, plot their curves, remove those no longer needed."""

import argparse
import json
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which python -I does not

from bootstrap import ensure_packages

METRICS = ("overview/reward", "env_agent/heart.gained", "env_collective/cogs/aligned.junction.held")


def list_runs(flags: argparse.Namespace) -> int:
    """Print name, state, steps and score of each run, newest first."""
    from metta.eval.statistics import show
    from metta.runs.run import Query, as_json
    from metta.runs.text import table

    metrics = flags.metric or METRICS[:2]
    query = Query(names=tuple(flags.names), state=flags.state, limit=flags.limit)
    found = flags.source.runs(query)
    if flags.format == "json":
        print(json.dumps([as_json(run) for run in found], indent=2, default=str))
        return 0
    header = ("run", "state", "started", "agent-steps", *metrics, "checkpoint")
    rows = [
        (
            run.name,
            run.state,
            f"{run.created.astimezone():%Y-%m-%d %H:%M}",
            f"{run.steps:,}",
            *(show(run.metrics.get(metric)) for metric in metrics),
            run.uri or "none yet",
        )
        for run in found
    ]
    print(table(header, rows, right=range(3, 4 + len(metrics))) if rows else f"no such runs in {flags.source.title}")
    return 0


def compare_runs(flags: argparse.Namespace) -> int:
    """Print the settings in which runs differ, their code and their newest metrics."""
    from dataclasses import asdict

    from metta.eval.statistics import show
    from metta.runs.compare import compare
    from metta.runs.run import checked_metrics
    from metta.runs.text import as_text, table

    runs = flags.source.chosen(flags.names, at_least=2)
    found = compare(runs, checked_metrics(runs, flags.metric, METRICS))
    if flags.format == "json":
        print(json.dumps(asdict(found), indent=2, default=str))
        return 0
    rows = [
        *((key, *map(as_text, values)) for key, values in {**found.settings, **found.code}.items()),
        *((metric, *map(show, values)) for metric, values in found.metrics.items()),
    ]
    if not found.settings:
        print("the same settings in all of them\n")
    print(table(("", *found.names), rows))
    return 0


def plot_runs(flags: argparse.Namespace) -> int:
    """Draw the curves of runs to a PNG."""
    from metta.eval.curves import caption, plot_curves
    from metta.runs.run import checked_metrics

    runs = flags.source.chosen(flags.names)
    metrics = checked_metrics(runs, flags.metric, METRICS)
    histories = {run.name: flags.source.history(run, metrics) for run in runs}
    curves = {metric: {name: history[metric] for name, history in histories.items()} for metric in metrics}
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs in {flags.source.title}"
    plot_curves(curves, title, flags.output)
    print(f"{flags.output}: {', '.join(map(caption, metrics))} of {', '.join(histories)}")
    return 0


def prune_runs(flags: argparse.Namespace) -> int:
    """Say what would go, ask, remove it, say how much is free again."""
    from metta.common.errors import UserError
    from metta.runs.prune import plan_prune, prune, show_bytes

    if not flags.names and flags.older_than is None:
        raise UserError("prune: say which runs: names, patterns such as 'test.*', or --older-than DAYS")
    older_than = None if flags.older_than is None else timedelta(days=flags.older_than)
    doomed, kept = plan_prune(flags.source.named(flags.names or ["*"]), older_than, flags.checkpoints)
    for line in kept:
        print(f"stays: {line}")
    for part in doomed:
        print(f"goes: {part.run.name}: {part.what}, {show_bytes(part.size)}")
    total = sum(part.size for part in doomed)
    print(f"{len(doomed)} runs, {show_bytes(total)} to be freed" + (" (dry run: nothing is removed)" * flags.dry_run))
    if flags.dry_run or not doomed or not (flags.yes or _agreed()):
        return 0
    freed = 0
    for part in doomed:
        try:
            freed += prune(part)
        except UserError as error:  # it has started since, or is not ours to remove
            print(f"stays: {error}")
    print(f"{show_bytes(freed)} freed")
    return 0


def _agreed() -> bool:
    from metta.common.errors import UserError

    if not sys.stdin.isatty():
        raise UserError("prune: nobody is there to be asked; --yes removes them")
    return input("remove them? [y/N] ").strip().lower() in ("y", "yes")


def _flags() -> argparse.ArgumentParser:
    from metta.common.commands import Parser, at_least
    from metta.runs.run import STATES

    shared = Parser(add_help=False)
    shared.add_argument("--data-dir", type=Path, default=Path("train_dir"), help="folder that holds the runs")
    parser = Parser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    def command(name: str, run: object, help: str, many: str = "*") -> argparse.ArgumentParser:
        part = commands.add_parser(name, help=help, description=help, parents=[shared])
        part.add_argument("names", nargs=many, metavar="RUN", help="name of a run, or a pattern such as 'test.*'")
        part.set_defaults(call=run)
        return part

    part = command("list", list_runs, "list runs, newest first")
    part.add_argument("--state", choices=STATES, help="only runs in this state")
    part.add_argument("--limit", type=at_least(1), help="how many; default: all")
    part.add_argument("--metric", action="append", help="metric to show (repeatable)")
    part.add_argument("--format", choices=("table", "json"), default="table")
    part = command("compare", compare_runs, "show in which settings runs differ", "+")
    part.add_argument("--metric", action="append", help="metric to show (repeatable)")
    part.add_argument("--format", choices=("table", "json"), default="table")
    part = command("plot", plot_runs, "draw learning curves to a PNG", "+")
    part.add_argument("--metric", action="append", help="metric to draw (repeatable)")
    part.add_argument("--output", type=Path, default=Path("curves.png"), help="the picture; default: curves.png")
    part = command("prune", prune_runs, "remove runs that have ended, or their older checkpoints")
    part.add_argument("--older-than", type=at_least(0), metavar="DAYS", help="only runs not written to for so long")
    part.add_argument(
        "--checkpoints", type=at_least(1), metavar="N", help="keep the runs and their N newest checkpoints"
    )
    part.add_argument("--dry-run", action="store_true", help="say what would go, remove nothing")
    part.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def main(argv: list[str] | None = None) -> int:
    from metta.common.commands import guarded

    def run() -> int:
        from metta.runs.local import LocalRuns

        flags = _flags().parse_args(argv)
        flags.source = LocalRuns(flags.data_dir)
        return flags.call(flags)

    return guarded(run)


if __name__ == "__main__":
    ensure_packages()
    sys.exit(main())
