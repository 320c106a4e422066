"""Random numbers of one map: splitmix64, integers only, so that a seed gives the same map on every machine."""

from functools import partial

import numba
import numpy as np

from metta.game.compiled import inner
from metta.game.engine.random import GOLDEN, mix

S11, S32 = np.uint64(11), np.uint64(32)
UNIT = 1.0 / (1 << 53)
SALT = np.uint64(0x6D617073)  # keeps the streams of maps apart from those of episodes with the same seed

draw = partial(inner, nogil=True)
# What Python calls.
entry = numba.njit(cache=True, nogil=True)
# Called in one place: it becomes part of its caller before compilation, which spares compiling it twice.
part = numba.njit(cache=True, nogil=True, inline="always")


@draw
def seed_stream(stream, seed):
    """Start a stream, uint64 [1]."""
    stream[0] = mix(np.uint64(seed) * GOLDEN + SALT)


@draw
def uniform(stream):
    """Random float in [0, 1)."""
    stream[0] += GOLDEN
    return (mix(stream[0]) >> S11) * UNIT


@draw
def chance(stream, probability):
    """True with a probability."""
    return uniform(stream) < probability


@draw
def between(stream, low, high):
    """Random integer in [low, high]."""
    stream[0] += GOLDEN
    return low + np.int64(((mix(stream[0]) >> S32) * np.uint64(high - low + 1)) >> S32)


@draw
def normal(stream):
    """About a standard normal number (twelve uniform ones): its tails end at 6, its bits depend on no library."""
    total = -6.0
    for _ in range(12):
        total += uniform(stream)
    return total


@draw
def shuffle(stream, values):
    """Shuffle the rows of an array in place."""
    for last in range(len(values) - 1, 0, -1):
        other = between(stream, 0, last)
        for column in range(values.shape[1]):
            kept = values[last, column]
            values[last, column] = values[other, column]
            values[other, column] = kept


@draw
def weighted(stream, weights):
    """Index drawn with probabilities proportional to weights, at least one of which is above 0."""
    rest = uniform(stream) * weights.sum()
    chosen = 0
    for index in range(len(weights)):
        if weights[index] > 0:
            chosen = index
            rest -= weights[index]
            if rest < 0:
                break
    return chosen
