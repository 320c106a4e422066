#!/usr/bin/env python3
"""List runs and the URIs of their policies, newest first: those at Weights & Biases, or in train_dir with --local."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which python -I does not

from bootstrap import ensure_packages


def main(argv: list[str] | None = None) -> int:
    from metta.common.commands import guarded

    return guarded(lambda: _list(argv))


def _list(argv: list[str] | None) -> int:
    from metta.common.commands import Parser, at_least
    from metta.eval.statistics import show
    from metta.rl.run.metrics import SCORE
    from metta.runs.run import as_json
    from metta.runs.sources import add_source_flags, query_of, source_of
    from metta.runs.text import table

    parser = Parser(description=__doc__)
    parser.add_argument("--limit", type=at_least(1), default=20, help="how many; default: 20")
    parser.add_argument("--format", choices=("table", "uris", "json"), default="table", help="default: table")
    parser.add_argument("--metric", default=SCORE, help=f"what the score is; default: {SCORE}")
    add_source_flags(parser)
    flags = parser.parse_args(argv)
    source = source_of(flags)
    runs = source.runs(query_of(flags, state="finished"))
    if flags.format == "json":
        print(
            json.dumps(
                [{**as_json(run), "score": run.metrics.get(flags.metric)} for run in runs], indent=2, default=str
            )
        )
    elif flags.format == "uris":
        print(*[run.uri for run in runs if run.uri], sep="\n")
    elif not runs:
        print(f"no such runs in {source.title} ({flags.state or 'finished'}; --state any shows all)")
    else:
        rows = []
        for run in runs:
            score = run.metrics.get(flags.metric)
            shown = "N/A" if score is None else show(score)
            rows.append((run.name, shown, f"{run.created:%Y-%m-%d}", run.uri or "no checkpoint yet"))
        print(table(("Run Name", "Score", "Created", source.uris), rows))
    return 0


if __name__ == "__main__":
    ensure_packages()
    sys.exit(main())
