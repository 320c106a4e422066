"""Seeds: one number of the user's, many independent streams."""

import hashlib
import random
from collections.abc import Sequence

import numpy as np


def derive(seed: int, *purpose: str | int) -> int:
    """A 62-bit seed for one purpose, the same on every machine and independent of all other purposes."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 2


# Of a batch of environments: one for all, whose streams follow from their places in the batch; or one for each, and an
# episode depends on nothing else: not on its place, not on what is played beside it.
Seed = int | Sequence[int]


def each_seed(seed: Seed, envs: int) -> list[int]:
    """A seed for each of a batch's environments; of one for all they are consecutive.

    Raises ValueError for another number of seeds.
    """
    seeds = list(seed) if isinstance(seed, Sequence) else list(range(seed, seed + envs))
    if len(seeds) != envs:
        raise ValueError(f"{len(seeds)} seeds for {envs} environments")
    return seeds


def seed_libraries(seed: int) -> None:
    """Seed the global generators of Python and numpy, for libraries that draw from them."""
    random.seed(derive(seed, "python"))
    np.random.seed(derive(seed, "numpy") % 2**32)
