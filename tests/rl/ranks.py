"""Runs of several processes, as tests have them: one function, called in processes that make a world on loopback."""

import os
import pickle
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing

from metta.rl.world import World

LIMIT = 240.0  # seconds until processes that do not come to an end are ended


def run_ranks(size: int, function: Callable[..., Any], *args: Any, limit: float = LIMIT) -> list[Any]:
    """What `function(world, *args)` returns in each of `size` processes, in the order of ranks.

    The function is one of a module's own, what it takes and returns can be pickled. Raises RuntimeError with the trace
    of the process that failed first, not of those that then lost it, and TimeoutError after so many seconds; no process
    is left.
    """
    with tempfile.TemporaryDirectory() as folder:
        running = torch.multiprocessing.start_processes(
            _rank, (size, folder, limit, function, args), nprocs=size, join=False, start_method="spawn"
        )
        until = time.monotonic() + limit
        try:
            while not running.join(timeout=max(0.0, until - time.monotonic())):
                if time.monotonic() >= until:
                    for process in running.processes:
                        process.kill()
                        process.join()
                    raise TimeoutError(f"{size} processes of {function.__name__} after {limit:g} s")
        except (torch.multiprocessing.ProcessRaisedException, torch.multiprocessing.ProcessExitedException) as error:
            failed = _failed(folder)
            raise RuntimeError(failed.read_text() if failed.is_file() else str(error)) from error
        return [pickle.loads(_result(folder, rank).read_bytes()) for rank in range(size)]


def _rank(rank: int, size: int, folder: str, limit: float, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """One of the processes: what the function returns goes to a file."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    meeting = f"file://{Path(folder) / 'meeting'}"
    dist.init_process_group("gloo", meeting, timedelta(seconds=limit), world_size=size, rank=rank)
    try:
        result = function(World(rank, size, rank, size), *args)
        _result(folder, rank).write_bytes(pickle.dumps(result))
        dist.barrier()  # who leaves while others still talk may take them with it
    except BaseException:
        with suppress(FileExistsError), _failed(folder).open("x") as first:  # before the others can notice
            first.write(traceback.format_exc())
        raise
    dist.destroy_process_group()


def _result(folder: str, rank: int) -> Path:
    return Path(folder) / f"result.{rank}"


def _failed(folder: str) -> Path:
    return Path(folder) / "failed"
