"""A run as the tools see it, wherever it is recorded, and which runs are asked for."""

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from html import escape
from typing import Any, Protocol

from metta.common.errors import UserError, suggest
from metta.common.jsonl import is_number
from metta.eval.curves import STEP, Points

SCORE, SCORE_NOW = "overview/reward", "overview/reward_per_1000_steps"  # the latter before an episode has ended too
STATES = ("running", "finished", "stopped", "crashed", "failed", "killed")


@dataclass(frozen=True)
class Run:
    """Name, settings and the newest value of every metric."""

    name: str
    state: str  # one of STATES
    created: datetime  # UTC
    config: dict[str, Any]  # the composed tree
    metrics: dict[str, float]
    uri: str | None  # of its newest checkpoint, as every command takes it
    place: str  # its folder, or its page
    code: dict[str, Any] = field(default_factory=dict)  # version, commit, dirty
    tags: tuple[str, ...] = ()
    group: str | None = None

    @property
    def steps(self) -> int:
        """Agent-steps so far."""
        return int(self.metrics.get(STEP, 0))

    def setting(self, path: str) -> Any:
        """The value at a dotted path of the tree, None where there is none."""
        return at(self.config, path)

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        score = next((self.metrics[name] for name in (SCORE, SCORE_NOW) if name in self.metrics), None)
        rows = {
            "run": self.name,
            "state": self.state,
            "created": f"{self.created:%Y-%m-%d %H:%M} UTC",
            "agent-steps": f"{self.steps:,}",
            "reward": "-" if score is None else f"{score:.3f}",
            "policy": self.uri or "-",
            "place": self.place,
        }
        cells = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in rows.items())
        return f"<table>{cells}</table>"


@dataclass(frozen=True)
class Query:
    """Which runs are asked for; what is None does not matter."""

    names: tuple[str, ...] = ()  # patterns as in a shell, any of which fits
    state: str | None = None
    tag: str | None = None
    group: str | None = None
    since: datetime | None = None
    limit: int | None = None

    def fits(self, run: Run) -> bool:
        return (
            (not self.names or any(fnmatch.fnmatchcase(run.name, name) for name in self.names))
            and self.state in (None, run.state)
            and (self.tag is None or self.tag in run.tags)
            and self.group in (None, run.group)
            and (self.since is None or run.created >= self.since)
        )


class Source(Protocol):
    """Where runs are recorded."""

    @property
    def title(self) -> str:
        """What it is called."""
        ...

    @property
    def uris(self) -> str:
        """What its URIs are called."""
        ...

    def runs(self, query: Query) -> list[Run]:
        """The runs that fit, newest first. Raises UserError when they cannot be read."""
        ...

    def history(self, run: Run, metrics: Sequence[str]) -> dict[str, Points]:
        """Points of each metric, oldest first: all, or so many spread over the run that a picture shows no fewer."""
        ...


def flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted paths and values of a tree; lists and empty branches count as values."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from flat(value, f"{path}.")
        else:
            yield path, value


def at(tree: Any, path: str) -> Any:
    """The value at a dotted path of a tree, None where there is none."""
    for part in path.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def newest_values(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    """The newest number of each metric over rows given oldest first."""
    values: dict[str, float] = {}
    for row in rows:
        values |= {name: value for name, value in row.items() if is_number(value)}
    return values


def checked_metrics(runs: Sequence[Run], asked: Sequence[str] | None, usual: Sequence[str]) -> list[str]:
    """The metrics asked for; else the usual ones that some run reports, and where one has no score yet what there is in
    its place.

    Raises:
        UserError: one asked for that no run reports, with the nearest names.
    """
    names = {name for run in runs for name in run.metrics}
    for metric in asked or ():
        if metric not in names:
            raise UserError(f"--metric {metric}: none of the {len(runs)} runs reports it{suggest(metric, names)}")
    if any(SCORE in usual and SCORE not in run.metrics for run in runs):
        usual = [part for metric in usual for part in ((metric, SCORE_NOW) if metric == SCORE else (metric,))]
    found = list(asked or [metric for metric in usual if metric in names])
    if not found:
        raise UserError("the runs have reported nothing yet")
    return found


def as_json(run: Run) -> dict[str, Any]:
    """A run as JSON shows it."""
    return {**asdict(run), "created": run.created.isoformat(), "steps": run.steps}
