"""Seeds: one number of the user's, many independent streams."""

import hashlib
import random

import numpy as np


def derive(seed: int, *purpose: str | int) -> int:
    """A 62-bit seed for one purpose, the same on every machine and independent of all other purposes."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 2


def seed_libraries(seed: int) -> None:
    """Seed the global generators of Python and numpy, for libraries that draw from them."""
    random.seed(derive(seed, "python"))
    np.random.seed(derive(seed, "numpy") % 2**32)
