#!/usr/bin/env python3
"""Which runs did best and what they have in common: those at Weights & Biases, or in train_dir with --local."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which python -I does not

from bootstrap import ensure_packages

METRIC = "env_agent/heart.gained"
WATCHED = ("env_agent/heart.gained", "env_collective/cogs/aligned.junction.held", "overview/reward", "losses/approx_kl")


def main(argv: list[str] | None = None) -> int:
    from metta.common.commands import guarded

    return guarded(lambda: _analyze(argv))


def _analyze(argv: list[str] | None) -> int:
    from metta.common.errors import UserError
    from metta.runs.analysis import analyze
    from metta.runs.report import to_json, to_markdown
    from metta.runs.sources import query_of, source_of

    flags = _flags().parse_args(argv)
    source = source_of(flags)
    runs = source.runs(query_of(flags))
    found = analyze(
        source, runs, flags.metric, flags.top, watched=WATCHED, late=flags.late, lowest=flags.lowest
    )  # fmt: skip
    if flags.plot:
        from metta.eval.curves import plot_curves

        metrics = [contrast.name for contrast in found.metrics]
        histories = {one.run.name: source.history(one.run, metrics) for one in found.top}
        curves = {metric: {name: history[metric] for name, history in histories.items()} for metric in metrics}
        plot_curves(curves, f"top {len(found.top)} of {len(runs)} runs by {found.metric}, {found.source}", flags.plot)
    text = to_json(found) + "\n" if flags.format == "json" else to_markdown(found, flags.plot)
    if not flags.output:
        print(text, end="")
        return 0
    try:
        flags.output.write_text(text)
    except OSError as error:
        raise UserError(f"--output {flags.output}: cannot be written ({error.strerror})") from None
    return 0


def _flags() -> argparse.ArgumentParser:
    from metta.common.commands import Parser, at_least
    from metta.runs.analysis import TOP
    from metta.runs.sources import add_source_flags

    parser = Parser(description=__doc__)
    parser.add_argument("--metric", default=METRIC, help=f"what counts; default: {METRIC}")
    parser.add_argument(
        "--top", type=at_least(1), help=f"how many runs to hold against the rest; default: {TOP}, at most half"
    )
    parser.add_argument("--late", action="store_true", help="score by the mean over the last tenth of the curve")
    parser.add_argument("--lowest", action="store_true", help="lower is better")
    parser.add_argument("--limit", type=at_least(2), default=100, help="newest runs to look at; default: 100")
    parser.add_argument("--format", choices=("markdown", "json"), default="markdown", help="default: markdown")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the report there, not to the screen")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the curves of the top runs")
    add_source_flags(parser)
    return parser


if __name__ == "__main__":
    ensure_packages()
    sys.exit(main())
