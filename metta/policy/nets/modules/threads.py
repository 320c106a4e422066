"""Compiled loops on as many threads as torch uses.

Threads of our own rather than numba's parallel loops: a second OpenMP runtime beside torch's would fight it for cores.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Tensor

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


def run(kernel: Callable[..., object], count: int, *tensors: Tensor) -> None:
    """A compiled kernel(begin, end, *arrays), which releases the GIL, over range(count)."""
    arrays: list[Any] = [tensor.numpy() for tensor in tensors]
    in_threads(count, lambda share, begin, end: kernel(begin, end, *arrays))


def run_summing(kernel: Callable[..., object], count: int, *tensors: Tensor, sums: tuple[Tensor, ...]) -> None:
    """As `run` for a kernel that also takes `sums`, last, and adds to them: each thread adds to its own."""
    arrays: list[Any] = [tensor.numpy() for tensor in tensors]
    shares = [sums, *(tuple(map(torch.zeros_like, sums)) for _ in range(1, torch.get_num_threads()))]
    adds = [[part.numpy() for part in share] for share in shares]
    in_threads(count, lambda share, begin, end: kernel(begin, end, *arrays, *adds[share]))
    for share in shares[1:]:
        for total, part in zip(sums, share, strict=True):
            total += part
