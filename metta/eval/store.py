"""Where results of matches are kept: what a store is, and the file of an evaluation (`--out FILE`).

The file has a line that says which matches are played, then a line for each part of one that is done. An evaluation
that was broken off goes on with the parts that are missing. Policies and the code that plays are known by digests of
their content: numbers of others are never taken for theirs.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from metta.common.digests import SHOWN
from metta.common.errors import UserError, printable
from metta.common.jsonl import cut_after, read_rows
from metta.eval.match import Match, MatchResult, Player

KIND, SCHEMA_VERSION = "metta-evaluation", 3
POLICIES = "policies"


class ResultStore(Protocol):
    """Keeps results of matches, each known by the digest of its match."""

    def results(self) -> Iterable[MatchResult]:
        """Those that were kept before."""
        ...

    def add(self, result: MatchResult) -> None:
        """Keep one; it is safe when this returns. Raises UserError where it cannot be kept."""
        ...


class Head(BaseModel):
    """The first line of a file: all that decides the numbers in it, and where the policies were found."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["metta-evaluation"] = KIND
    schema_version: Literal[3] = SCHEMA_VERSION
    matches: list[Match]


class OutFile:
    """Open for one evaluation."""

    def __init__(self, path: Path, matches: Sequence[Match]) -> None:
        """Raises UserError for a file that holds anything else, which stays as it is, or that cannot be written."""
        self.path = path
        self._held: list[MatchResult] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size:
                self._held = list(_held(path, matches))
                cut_after(path, lambda row: True)
            self._file = open(path, "a")  # noqa: SIM115 - closed by __exit__
            if self._file.tell() == 0:
                self._write(Head(matches=list(matches)).model_dump_json())
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be used ({getattr(error, 'strerror', None) or error})") from None

    def results(self) -> Iterable[MatchResult]:
        return self._held

    def add(self, result: MatchResult) -> None:
        try:
            self._write(result.model_dump_json())
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}; what it held before is safe") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self._file.close()

    def _write(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def read_out_file(path: Path) -> tuple[list[Match], list[MatchResult]]:
    """The matches of a file and the results of their parts. Raises UserError for a file that is none such."""
    try:
        rows = read_rows(path)
        head = _head(path, next(rows, {}))
        return head.matches, list(_results(path, rows, head.matches))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _held(path: Path, matches: Sequence[Match]) -> Iterator[MatchResult]:
    """The results in a file, each once. Raises UserError unless the file is of this evaluation."""
    rows = read_rows(path)
    if difference := _difference(_head(path, next(rows, {})).matches, matches):
        raise UserError(f"{path} holds another evaluation ({difference}); name a new file")
    return _results(path, rows, matches)


def _head(path: Path, row: Mapping[str, Any]) -> Head:
    if row.get("kind") != KIND:
        raise UserError(f"{path} is no evaluation; name a new file")
    if row.get("schema_version") != SCHEMA_VERSION:
        raise UserError(f"{path} holds another evaluation (schema_version differs); name a new file")
    try:
        return Head.model_validate(row)
    except (ValidationError, UserError):
        raise UserError(f"{path} holds another evaluation (its description is none); name a new file") from None


def _results(path: Path, rows: Iterable[Any], matches: Iterable[Match]) -> Iterator[MatchResult]:
    wanted = {part.digest: part for match in matches for part in match.parts()}
    seen: set[str] = set()
    for row in rows:
        try:
            result = MatchResult.model_validate(row)
        except ValidationError:
            result = None
        part = wanted.get(result.match) if result else None
        if result is None or part is None or not result.fits(part):
            raise UserError(f"{path} is damaged: a line is no result; name a new file")
        if result.match not in seen:
            seen.add(result.match)
            yield result


def _difference(held: Sequence[Match], asked: Sequence[Match]) -> str:
    """The first thing in which two evaluations differ; "" if they are the same."""
    if len(held) != len(asked):
        return "the number of matches differs"
    for there, here in zip(held, asked, strict=True):
        if there.engine != here.engine:
            return f"played by other code of metta: {there.engine[:SHOWN]} there, {here.engine[:SHOWN]} here"
        facts = zip(_facts(there).items(), _facts(here).values(), strict=True)
        if part := next((part for (part, one), other in facts if one != other), ""):
            which = _other_policy(there.players, here.players) if part == POLICIES else ""
            return f"{part} of {here.mission.name} differs{which}"
    return ""


def _facts(match: Match) -> dict[str, Any]:
    """What decides the numbers of a match, by what people call it, and who is said to play."""
    return {
        "mission": match.mission.name,
        "rules": match.mission.rules,
        POLICIES: [(player.policy, player.uri, player.name) for player in match.players],
        "agents": [(player.seats, player.team) for player in match.players],
        "seeds": match.seeds,
        "map_seeds": match.map_seeds,
        "action_timeout_ms": match.action_timeout_ms,
    }


def _other_policy(held: Sequence[Player], asked: Sequence[Player]) -> str:
    """The first policy in which two line-ups differ, with both digests."""
    if len(held) != len(asked):
        return ": another number of them"
    one, other = next(
        (there, here)
        for there, here in zip(held, asked, strict=True)
        if (there.policy, there.uri, there.name) != (here.policy, here.uri, here.name)
    )
    was, now = one.policy[:SHOWN], other.policy[:SHOWN]
    if one.uri == other.uri:
        return f": {other.uri} was {was} there, is {now} here"
    return f": {printable(one.uri)} ({was}) there, {other.uri} ({now}) here"
