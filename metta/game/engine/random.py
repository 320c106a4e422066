"""Random numbers of one environment: splitmix64 (Steele et al., 2014), one 64-bit word of state each."""

import numpy as np

from metta.game.compiled import rule

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
S27, S30, S31, S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)


@rule
def mix(z):
    """Bijective scrambling of a 64-bit word."""
    z = (z ^ (z >> S30)) * MIX_1
    z = (z ^ (z >> S27)) * MIX_2
    return z ^ (z >> S31)


@rule
def next_random(s, e):
    """Next 64 random bits of environment `e`."""
    s.rng[e] += GOLDEN
    return mix(s.rng[e])


@rule
def random_below(s, e, n):
    """Random integer in [0, n), n < 2**32."""
    return np.int64(((next_random(s, e) >> S32) * np.uint64(n)) >> S32)
