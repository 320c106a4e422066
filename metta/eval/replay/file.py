"""Replay files: bytes in, bytes out. docs/replays.md describes the format, version 1."""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from metta.common.errors import UserError
from metta.common.files import read_bytes
from metta.common.settings import first_problem
from metta.eval.replay.header import ReplayHeader
from metta.eval.replay.numbers import fold, pack, pack_parts, unfold, unpack

MAGIC, VERSION = b"COGREPLY", 1
CHUNK_STEPS = 100
START, CHUNK, STEP = struct.Struct("<8sII"), struct.Struct("<III"), struct.Struct("<I")
MOST_BYTES = 1 << 28  # of a file
MOST_HEADER = 1 << 24  # of the header, unpacked
MOST_CHUNK = 1 << 23  # of a chunk, unpacked
MOST_LINE = 200  # characters of an error


def encode_state(state: np.ndarray) -> bytes:
    return pack(fold(state))


def encode_deltas(states: np.ndarray) -> list[bytes]:
    """From each of the states, int64 [steps + 1, size], to the next: number of changes, then for each the places
    skipped and the difference."""
    steps, places = np.nonzero(states[1:] != states[:-1])
    counts = np.bincount(steps, minlength=len(states) - 1)
    ends = np.cumsum(counts)
    starts = ends - counts
    before = np.concatenate([[-1], places[:-1]])
    before[starts[counts > 0]] = -1
    numbers = np.empty(len(counts) + 2 * len(places), np.int64)
    at = 2 * np.arange(len(places)) + steps + 1
    numbers[2 * starts + np.arange(len(counts))] = counts
    numbers[at] = places - before - 1
    numbers[at + 1] = fold(states[steps + 1, places] - states[steps, places])
    return pack_parts(numbers, 2 * counts + 1)


def encode_start(header: ReplayHeader) -> bytes:
    """What stands before the steps."""
    top = zlib.compress(json.dumps(header.model_dump(), separators=(",", ":")).encode(), 9)
    return START.pack(MAGIC, VERSION, len(top)) + top


def encode_open_step(step: int, data: bytes) -> bytes:
    """A step of a file that grows: its key state or delta, after the head of its chunk if it is the first there."""
    return (b"" if step % CHUNK_STEPS else CHUNK.pack(step, 0, 0)) + STEP.pack(len(data)) + data


def encode_file(header: ReplayHeader, states: list[bytes], deltas: list[bytes]) -> bytes:
    """A replay file of key states (every CHUNK_STEPS steps) and the deltas of all steps."""
    parts = [encode_start(header)]
    for number, state in enumerate(states):
        first = number * CHUNK_STEPS
        steps = deltas[first : first + CHUNK_STEPS]
        body = zlib.compress(state + b"".join(steps[1:]), 9)
        parts += [CHUNK.pack(first, len(steps), len(body)), body]
    return b"".join(parts)


@dataclass(frozen=True)
class Chunk:
    """Steps that follow each other."""

    first: int
    steps: int
    data: bytes
    is_open: bool  # written step by step, by one who did not come to pack it

    def numbers(self) -> np.ndarray:
        """A key state and the deltas after it. Raises ValueError or zlib.error."""
        return unpack(self.data if self.is_open else _inflate(self.data, MOST_CHUNK))


@dataclass(frozen=True)
class Replay:
    """A replay in memory. States are int64 [header.size], in the order that docs/replays.md gives."""

    name: str
    data: bytes
    header: ReplayHeader
    chunks: list[Chunk]

    @property
    def steps(self) -> int:
        """Number of the last step."""
        return self.chunks[-1].first + self.chunks[-1].steps - 1

    @property
    def is_cut(self) -> bool:
        """Whether its writer was ended before the episode."""
        return self.chunks[-1].is_open and self.steps < self.header.max_steps

    def states(self, chunk: int) -> Iterator[np.ndarray]:
        """The states of a chunk in turn, each an array of its own. Raises UserError for a damaged chunk."""
        try:
            numbers = self.chunks[chunk].numbers()
            size = self.header.size
            if len(numbers) < size:
                raise ValueError("the key state is cut off")
            state, at = unfold(numbers[:size]), size
            yield state
            for _ in range(self.chunks[chunk].steps - 1):
                state, at = _apply(state, numbers, at)
                yield state
            if at != len(numbers):
                raise ValueError("something follows the last step")
        except (ValueError, IndexError, zlib.error) as error:
            raise _damaged(self.name, str(error)) from None

    def state(self, step: int) -> np.ndarray:
        """The state after `step` steps; only its chunk is read."""
        chunk = step // CHUNK_STEPS
        if not 0 <= step <= self.steps:
            raise IndexError(step)
        return next(state for at, state in enumerate(self.states(chunk), chunk * CHUNK_STEPS) if at == step)

    def check(self) -> "Replay":
        """Read every step once. Raises UserError for a damaged one."""
        for chunk in range(len(self.chunks)):
            for _ in self.states(chunk):
                pass
        return self


def read_replay(path: Path) -> Replay:
    """A replay file. Raises UserError in one line for one that is missing, too large, damaged or of another kind."""
    return parse_replay(read_bytes(path, MOST_BYTES), str(path))


def parse_replay(data: bytes, name: str) -> Replay:
    """The bytes of a replay file, called `name` in errors. Raises UserError as `read_replay`."""
    if len(data) < START.size or not data.startswith(MAGIC):
        raise UserError(f"{name}: no replay")
    _, version, length = START.unpack_from(data)
    if version != VERSION:
        raise UserError(f"{name}: a replay of version {version}; this program reads version {VERSION}")
    try:
        header = ReplayHeader.model_validate_json(_inflate(data[START.size : START.size + length], MOST_HEADER))
        return Replay(name, data, header, _chunks(data, START.size + length, header.max_steps))
    except ValidationError as error:
        raise _damaged(name, first_problem(ReplayHeader, error, "")) from None
    except (ValueError, zlib.error, struct.error) as error:
        raise _damaged(name, str(error)) from None


def _damaged(name: str, why: str) -> UserError:
    """One line, whatever the file quotes."""
    line = "".join(letter if letter.isprintable() else "?" for letter in why[:MOST_LINE])
    return UserError(f"{name}: damaged replay: {line}")


def _chunks(data: bytes, at: int, max_steps: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    while at < len(data):
        if chunks and chunks[-1].is_open and len(data) - at < CHUNK.size:
            break  # its writer was ended here
        first, steps, length = CHUNK.unpack_from(data, at)
        at += CHUNK.size
        if is_open := (steps, length) == (0, 0):
            steps, body, at = _open_steps(data, at)
        else:
            body, at = data[at : at + length], at + length
        if is_open and not steps and chunks:
            break
        if first != len(chunks) * CHUNK_STEPS or not 1 <= steps <= CHUNK_STEPS or at > len(data):
            raise ValueError("a chunk is cut off or out of place")
        if first + steps > max_steps + 1:
            raise ValueError(f"more than the {max_steps} steps of the episode")
        chunks.append(Chunk(first, steps, body, is_open))
    if not chunks or any(chunk.steps != CHUNK_STEPS for chunk in chunks[:-1]):
        raise ValueError("steps are missing")
    return chunks


def _open_steps(data: bytes, at: int) -> tuple[int, bytes, int]:
    """The whole steps of an open chunk: their number, their numbers, and where the next chunk begins."""
    parts: list[bytes] = []
    size = 0
    while len(parts) < CHUNK_STEPS and at + STEP.size <= len(data):
        (length,) = STEP.unpack_from(data, at)
        if not length or at + STEP.size + length > len(data):
            return len(parts), b"".join(parts), len(data)
        parts.append(data[at + STEP.size : at + STEP.size + length])
        at, size = at + STEP.size + length, size + length
        if size > MOST_CHUNK:
            raise ValueError("a part is too large")
    return len(parts), b"".join(parts), at if len(parts) == CHUNK_STEPS else len(data)


def _inflate(packed: bytes, most: int) -> bytes:
    """Unpack at most `most` bytes. Raises ValueError or zlib.error."""
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(packed, most)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("a part is cut off or too large")
    return data


def _apply(state: np.ndarray, numbers: np.ndarray, at: int) -> tuple[np.ndarray, int]:
    """The state after the delta at `at`, and where the next one begins."""
    count = int(numbers[at])
    pairs = numbers[at + 1 : at + 1 + 2 * count].reshape(-1, 2)
    places = np.cumsum(pairs[:, 0] + 1) - 1
    if len(pairs) < count or (count and places[-1] >= len(state)):
        raise ValueError("a step is cut off or changes what is not there")
    after = state.copy()
    after[places] += unfold(pairs[:, 1])
    return after, at + 1 + 2 * count
