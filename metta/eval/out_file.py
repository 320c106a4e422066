"""The file of an evaluation (`--out FILE`): a line that says what is played, then a line per chunk that is done.

An evaluation that was broken off goes on with the chunks that are missing. Policies and the code that plays are known
by digests of their content: numbers of others are never taken for theirs.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from metta.common.digests import SHOWN, digest_sources
from metta.common.errors import UserError, printable
from metta.common.jsonl import cut_after, read_rows
from metta.eval.rounds import ChunkResult, Round

POLICIES = "policies"
PLAYING = tuple(Path(__file__).parents[1] / package for package in ("game", "policy"))  # whose code decides numbers
KIND, SCHEMA_VERSION = "metta-evaluation", 2
CONTENT = "sha256"  # of a policy: the digest of all that decides what it does
Identity = dict[str, str]  # of a policy: uri, name, CONTENT


def describe(rounds: Iterable[Round], identities: dict[str, Identity]) -> dict[str, Any]:
    """Everything that decides the numbers, as JSON; `identities` are what the URIs of the policies turned out to be."""
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "code": digest_sources(*PLAYING),
        "rounds": [
            {
                "mission": played.mission.name,
                "rules": played.mission.rules,
                POLICIES: [identities[entry.uri] for entry in played.entries],
                "agents": list(played.counts),
                "seeds": _spans(played.seeds),
                "map_seeds": _spans(played.map_seeds),
            }
            for played in rounds
        ],
    }


def _spans(seeds: Sequence[int]) -> list[list[int]]:
    """Seeds as [first, how many] of consecutive ones."""
    spans: list[list[int]] = []
    for seed in seeds:
        if spans and seed == sum(spans[-1]):
            spans[-1][1] += 1
        else:
            spans.append([seed, 1])
    return spans


class OutFile:
    """Open for one evaluation. `done` are the chunks that it holds already."""

    def __init__(self, path: Path, rounds: Sequence[Round], identities: dict[str, Identity]) -> None:
        """Raises UserError for a file that holds anything else, which stays as it is, or that cannot be written."""
        self.path, description = path, describe(rounds, identities)
        self.done: list[ChunkResult] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size:
                self.done = list(_held(path, rounds, description))
                cut_after(path, lambda row: True)
            self._file = open(path, "a")  # noqa: SIM115 - closed by __exit__
            if self._file.tell() == 0:
                self._write(json.dumps(description))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be used ({getattr(error, 'strerror', None) or error})") from None

    def add(self, result: ChunkResult) -> None:
        """Keep a chunk; it is on the disk when this returns. Raises UserError when the disk takes it not."""
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


def _held(path: Path, rounds: Sequence[Round], description: dict[str, Any]) -> Iterator[ChunkResult]:
    """The chunks in a file, each once. Raises UserError unless the file is of this evaluation."""
    rows = read_rows(path)
    head = next(rows, {})
    if head.get("kind") != KIND:
        raise UserError(f"{path} is no evaluation; name a new file")
    if difference := _difference(head, description):
        raise UserError(f"{path} holds another evaluation ({difference}); name a new file")
    seen: set[tuple[int, int]] = set()
    for row in rows:
        try:
            result = ChunkResult.model_validate(row)
        except ValidationError:
            result = None
        if result is None or not _fits(result, rounds):
            raise UserError(f"{path} is damaged: a line is no result; name a new file")
        if (result.round, result.chunk) not in seen:
            seen.add((result.round, result.chunk))
            yield result


def _fits(result: ChunkResult, rounds: Sequence[Round]) -> bool:
    """Whether it can be a result of these rounds: of episodes that they have, with a value for each agent."""
    if not 0 <= result.round < len(rounds) or not 0 <= result.chunk < rounds[result.round].chunks:
        return False
    played = rounds[result.round]
    agents, entries = played.mission.agents, len(played.entries)
    return (
        len(result.faults) == entries
        and [row.seed for row in result.rows] == [played.map_seeds[k] for k in played.of_chunk(result.chunk)]
        and all(
            all(len(values) == agents for values in (row.seats, row.returns, row.gear, *row.agent.values()))
            and set(row.seats) == set(range(entries))
            for row in result.rows
        )
    )


def _difference(held: dict[str, Any], asked: dict[str, Any]) -> str:
    """The first thing in which two evaluations differ; "" if they are the same."""
    if held.get("schema_version") != asked["schema_version"]:
        return "schema_version differs"
    if held.get("code") != asked["code"]:
        return f"played by other code of metta: {_short(held.get('code'))} there, {_short(asked['code'])} here"
    there, here = held.get("rounds"), asked["rounds"]
    if not isinstance(there, list) or len(there) != len(here):
        return "the number of missions differs"
    for one, other in zip(there, here, strict=True):
        if not isinstance(one, dict):
            return "its description is none"
        for key, value in other.items():
            if one.get(key) != value:
                which = _other_policy(one.get(key), value) if key == POLICIES else ""
                return f"{key} of {other['mission']} differs{which}"
    return ""


def _other_policy(held: Any, asked: list[Identity]) -> str:
    """The first policy in which two line-ups differ, with both digests; a file may hold anything in its place."""
    if not isinstance(held, list) or len(held) != len(asked):
        return ": another number of them"
    for one, other in zip(held, asked, strict=True):
        if one != other:
            uri, content = (one.get("uri"), one.get(CONTENT)) if isinstance(one, dict) else (None, None)
            was, now = _short(content), _short(other[CONTENT])
            if uri == other["uri"]:
                return f": {uri} was {was} there, is {now} here"
            return f": {printable(str(uri))} ({was}) there, {other['uri']} ({now}) here"
    return ""


def _short(content: Any) -> str:
    """A digest in few characters; a file may hold anything in its place."""
    return printable(str(content))[:SHOWN]
