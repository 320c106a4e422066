"""The runs of a project at Weights & Biases, read through its public API."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from metta.common.errors import UserError
from metta.common.jsonl import is_number
from metta.common.wandb_client import ARTIFACT_TYPE, artifact_name, logged_in, one_line, wandb_client
from metta.eval.curves import STEP, Points
from metta.runs.run import Query, Run

SECONDS = 20  # to wait for an answer
PAGE = 50
SAMPLES = 1_000  # points of a curve; the server draws them
T = TypeVar("T")


class WandbRuns:
    """The runs of one project. Raises UserError, in one line, when W&B cannot be asked."""

    uris = "WandB URI"

    def __init__(self, entity: str | None, project: str) -> None:
        """`entity` is a team or user; None is that of the login."""
        if not logged_in():
            raise UserError("no W&B login: wandb login, or WANDB_API_KEY; --local FOLDER reads runs on this machine")
        self._api = _asked("W&B", lambda: wandb_client().Api(timeout=SECONDS))
        entity = entity or _asked("W&B", lambda: self._api.default_entity)
        if not entity:
            raise UserError("W&B: the login has no team of its own; name one with --entity")
        self._path = f"{entity}/{project}"
        self._records: dict[str, Any] = {}  # the client's, by address

    @property
    def title(self) -> str:
        return f"W&B {self._path}"

    def runs(self, query: Query) -> list[Run]:
        def ask() -> list[Run]:
            found = self._api.runs(self._path, filters=_filters(query), order="-created_at", per_page=PAGE, lazy=False)
            # What the server's filters cannot say as exactly is looked at here.
            fits: Iterator[Run] = (run for run in map(self._read, found) if query.fits(run))
            return list(islice(fits, query.limit))

        return _asked(self.title, ask)

    def history(self, run: Run, metrics: Sequence[str]) -> dict[str, Points]:
        def ask() -> dict[str, Points]:
            return {metric: _points(self._records[run.place], metric) for metric in metrics}

        return _asked(f"{self.title}: {run.name}", ask)

    def _read(self, record: Any) -> Run:
        self._records[record.url] = record
        config = dict(record.config)
        code = config.pop("code", None)
        created = datetime.fromisoformat(record.created_at)
        return Run(
            name=record.name or record.id,
            state=record.state,
            created=created.replace(tzinfo=created.tzinfo or UTC).astimezone(UTC),
            config=config,
            metrics={
                name: value for name, value in dict(record.summary).items() if name[0] != "_" and is_number(value)
            },
            uri=f"wandb://{self._path}/{ARTIFACT_TYPE}/{artifact_name(record.name or record.id)}:latest",
            place=record.url,
            code=code if isinstance(code, dict) else {},
            tags=tuple(record.tags or ()),
            group=record.group,
        )


def _points(record: Any, metric: str) -> Points:
    rows = record.history(samples=SAMPLES, keys=[STEP, metric], pandas=False)
    points = [(row[STEP], row[metric]) for row in rows if is_number(row.get(STEP)) and is_number(row.get(metric))]
    return sorted(points)


def _filters(query: Query) -> dict[str, Any]:
    """The query as W&B takes it; a superset of what fits."""
    return {
        **({"state": query.state} if query.state else {}),
        **({"tags": {"$in": [query.tag]}} if query.tag else {}),
        **({"group": query.group} if query.group else {}),
        **({"createdAt": {"$gte": f"{query.since:%Y-%m-%dT%H:%M:%SZ}"}} if query.since else {}),
        **({"displayName": {"$regex": "|".join(map(_regex, query.names))}} if query.names else {}),
    }


def _regex(pattern: str) -> str:
    """A shell pattern's plain beginning; what follows is looked at here."""
    return "^" + re.escape(re.split(r"[*?\[]", pattern, maxsplit=1)[0])


def _asked(what: str, ask: Callable[[], T]) -> T:
    """The answer. Raises UserError for whatever the client raises."""
    try:
        return ask()
    except UserError:
        raise
    except Exception as error:  # the client's are of many kinds
        raise UserError(f"{what}: {one_line(error)}") from None
