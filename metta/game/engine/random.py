"""Random numbers of one environment: splitmix64 (Steele et al., 2014), one 64-bit word of state each."""

from collections.abc import Sequence

import numpy as np

from metta.common.seeds import Seed, each_seed
from metta.game.compiled import rule

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
S11, S27, S30, S31, S32 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)


def _scrambled(z):
    """Bijective scrambling of 64-bit words."""
    z = (z ^ (z >> S30)) * MIX_1
    z = (z ^ (z >> S27)) * MIX_2
    return z ^ (z >> S31)


mix = rule(_scrambled)  # of one word, in compiled code


def environment_keys(seed: Seed, envs: int, first: int = 0) -> np.ndarray:
    """What the random numbers of each environment follow from, uint64 [E]; `first` is the number of the first of them.

    Of one seed each environment has its own, by its number; of a seed for each, an environment has what it would have
    alone. Seeds are scrambled: environment 1 of seed 0 must not play as environment 0 of seed 1.
    """
    if isinstance(seed, Sequence):
        return _scrambled(np.array(each_seed(seed, envs), np.uint64))
    return _scrambled(np.array([seed], np.uint64)) + np.arange(first, first + envs, dtype=np.uint64)


def episode_draws(keys: np.ndarray, episodes: np.ndarray, count: int) -> np.ndarray:
    """Uniform numbers in [0, 1), float64 [n, count], for episodes of these numbers, int64 [n], in environments of these
    keys, uint64 [n]. They follow from both alone, as `next_random` has them in an episode."""
    start = _scrambled(_scrambled(keys) + episodes.astype(np.uint64))
    words = _scrambled(start[:, None] + GOLDEN * np.arange(1, count + 1, dtype=np.uint64))
    return (words >> S11) * 2.0**-53


@rule
def next_random(s, e):
    """Next 64 random bits of environment `e`."""
    s.rng[e] += GOLDEN
    return mix(s.rng[e])


@rule
def random_below(s, e, n):
    """Random integer in [0, n), n < 2**32."""
    return np.int64(((next_random(s, e) >> S32) * np.uint64(n)) >> S32)
