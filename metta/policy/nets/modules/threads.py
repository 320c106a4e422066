"""Compiled loops on as many threads as torch uses.

Threads of our own rather than numba's parallel loops: a second OpenMP runtime beside torch's would fight it for cores.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch

LEAST = 64  # items for which handing over to another thread pays


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="metta-net")


def in_threads(count: int, work: Callable[[int, int, int], object]) -> None:
    """Divide range(count) among torch's threads: work(share, begin, end) on each, which must release the GIL."""
    threads = torch.get_num_threads()
    shares = min(threads, max(1, count // LEAST))
    bounds = [share * count // shares for share in range(shares + 1)]
    if shares == 1:
        work(0, 0, count)
        return
    others = [_pool(threads).submit(work, share, bounds[share], bounds[share + 1]) for share in range(1, shares)]
    work(0, 0, bounds[1])
    for other in others:
        other.result()
