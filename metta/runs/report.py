"""An analysis as Markdown or JSON."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metta.common.plain_yaml import dump
from metta.eval.curves import caption
from metta.eval.statistics import show
from metta.runs.analysis import Analysis, Contrast, Ranked
from metta.runs.run import as_json
from metta.runs.text import as_text, markdown_table

LINES = 25  # of a table of settings
# What a run is about, where its tree says so.
ABOUT = ("mission.name", "agent.name", "teacher.mode", "teacher.policy_uri", "training_env.supervisor_policy_uri")
BRANCHES = ("mission", "agent", "trainer", "teacher", "training_env")
TARGETS = {
    "env_agent/heart.gained": "higher is better",
    "env_collective/cogs/aligned.junction.held": "higher is better",
    "overview/reward": "rising",
    "losses/approx_kl": "below 0.03",
}


def to_json(found: Analysis) -> str:
    """The analysis as one JSON document."""
    ranked = {
        part: [{"score": one.score, **as_json(one.run)} for one in getattr(found, part)] for part in ("top", "rest")
    }
    return json.dumps({"schema_version": 1, **asdict(found), **ranked}, indent=2, default=str)


def to_markdown(found: Analysis, picture: Path | None = None) -> str:
    """The analysis as a page: summary, top runs, what they share, metrics, and the settings of the best."""
    parts = [
        f"# Runs by {found.metric}",
        f"{datetime.now(UTC):%Y-%m-%d}, {found.source}: {_count(found)}, by {found.how}.",
        _summary(found),
        f"## The top {len(found.top)}\n\n{_top(found)}",
        *([f"![{caption(found.metric)}]({picture})"] if picture else []),
        "\n".join(["Where they are:", "", *(f"- {one.run.name}: {one.run.place}" for one in found.top)]),
        f"## What they have in common\n\n{_shared(found)}",
        *([f"## Numbers on which runs differ\n\n{_contrasts('setting', found.numbers)}"] if found.numbers else []),
        f"## Metrics\n\n{_contrasts('metric', found.metrics, TARGETS)}",
        f"## Settings of {_reference(found).run.name}\n\n```yaml\n{_tree(found)}```",
    ]
    return "\n\n".join(parts) + "\n"


def _count(found: Analysis) -> str:
    without = f" ({found.left_out} more do not report it)" if found.left_out else ""
    return f"{len(found.top) + len(found.rest)} runs{without}"


def _summary(found: Analysis) -> str:
    best = found.top[0]
    first = f"**Best:** {best.run.name} with {show(best.score)} ({best.run.steps:,} agent-steps, {best.run.state})."
    if not found.shared:
        return f"{first}\n\n**No setting** is more common in the top {len(found.top)} than in the rest."
    most = found.shared[0]
    telling = [one for one in found.shared if (one.top, one.rest) == (most.top, most.rest)]
    named = ", ".join(f"`{one.setting}={as_text(one.value)}`" for one in telling[:4])
    more = f" and {len(telling) - 4} more" if len(telling) > 4 else ""
    held = f"{most.top} of the top {len(found.top)}, {most.rest} of the {len(found.rest)} others"
    return f"{first}\n\n**What sets them apart most:** {named}{more}: {held}."


def _top(found: Analysis) -> str:
    about = [path for path in ABOUT if any(one.run.setting(path) for one in found.top)]
    rows = [
        (
            one.run.name,
            show(one.score),
            one.run.state,
            f"{one.run.created:%Y-%m-%d}",
            f"{one.run.steps:,}",
            *(as_text(one.run.setting(path)) for path in about),
        )
        for one in found.top
    ]
    return markdown_table(("run", found.metric, "state", "started", "agent-steps", *about), rows, right=(1, 4))


def _shared(found: Analysis) -> str:
    same = f"{found.same} settings have the same value in all {len(found.top) + len(found.rest)} runs."
    if not found.shared:
        return f"Nothing more often than the others. {same}"
    rows = []
    for one in found.shared[:LINES]:
        counts = (f"{one.top}/{len(found.top)}", f"{one.rest}/{len(found.rest)}", f"{one.chance:.2g}")
        rows.append((f"`{one.setting}`", f"`{as_text(one.value)}`", *counts))
    more = f"{len(found.shared) - LINES} more are in the JSON. " if len(found.shared) > LINES else ""
    note = "'chance' is the probability of such a row had the top been drawn by lot; among many rows some are small."
    table = markdown_table(("setting", "value", "top", "rest", "chance"), rows, right=(2, 3, 4))
    return f"{table}\n\n{note} {more}{same}"


def _contrasts(kind: str, rows: list[Contrast], notes: dict[str, str] | None = None) -> str:
    cells = [
        (f"`{row.name}`", show(row.top), show(row.rest), *([notes.get(row.name, "")] if notes else []))
        for row in rows[:LINES]
    ]
    header = (kind, "median of the top", "median of the rest", *(["target"] if notes else []))
    return markdown_table(header, cells, right=(1, 2))


def _reference(found: Analysis) -> Ranked:
    """The best run that has finished, else the best."""
    return next((one for one in found.top if one.run.state == "finished"), found.top[0])


def _tree(found: Analysis) -> str:
    config = _reference(found).run.config
    tree = _without_empty({key: config[key] for key in BRANCHES if config.get(key)})
    return dump(tree)


def _without_empty(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    kept = {key: _without_empty(value) for key, value in tree.items()}
    return {key: value for key, value in kept.items() if value not in (None, {}, [])}
