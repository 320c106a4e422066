"""Whole numbers as bytes: little-endian base 128, the high bit set on all bytes of a number but its last.

Signed ones are folded first: 0, -1, 1, -2, … become 0, 1, 2, 3, …
"""

from itertools import pairwise

import numpy as np

MOST_BYTES = 5  # of one number: 32 bits


def fold(values: np.ndarray) -> np.ndarray:
    """Signed to unsigned, int64."""
    values = values.astype(np.int64)
    return (values << 1) ^ (values >> 63)


def unfold(values: np.ndarray) -> np.ndarray:
    """Unsigned to signed, int64."""
    return (values >> 1) ^ -(values & 1)


def pack(values: np.ndarray) -> bytes:
    """Bytes of unsigned numbers below 2^35."""
    return _octets(values)[0].tobytes()


def pack_parts(values: np.ndarray, lengths: np.ndarray) -> list[bytes]:
    """As `pack`, of parts that follow each other, of which each has so many numbers, one at least."""
    octets, sizes = _octets(values)
    ends = np.cumsum(sizes)[np.cumsum(lengths) - 1].tolist()
    return [octets[start:end].tobytes() for start, end in pairwise([0, *ends])]


def _octets(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of numbers, uint8, and how many each takes."""
    septets = values[:, None].astype(np.int64) >> np.arange(0, 7 * MOST_BYTES, 7)
    used = septets > 0
    used[:, 0] = True
    more = np.zeros_like(used)
    more[:, :-1] = used[:, 1:]
    return ((septets & 127) | (more << 7))[used].astype(np.uint8), used.sum(1)


def unpack(data: bytes) -> np.ndarray:
    """The unsigned numbers in `data`, int64. Raises ValueError when a number is too long or the last is cut off."""
    octets = np.frombuffer(data, np.uint8).astype(np.int64)
    ends = np.flatnonzero(octets < 128)
    if octets.size and (not ends.size or ends[-1] != octets.size - 1):
        raise ValueError("a number is cut off")
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)[: ends.size]
    lengths = ends - starts + 1
    if lengths.size and lengths.max() > MOST_BYTES:
        raise ValueError("a number is too long")
    shifts = 7 * (np.arange(octets.size) - np.repeat(starts, lengths))
    return np.add.reduceat((octets & 127) << shifts, starts) if ends.size else np.zeros(0, np.int64)
