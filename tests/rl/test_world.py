"""Several processes of one run come to the same numbers."""

import time

import pytest
import torch

from metta.rl.world import World
from tests.rl.ranks import run_ranks


def meet(world: World) -> dict[str, object]:
    mine = torch.arange(6.0)[world.own(6)]
    return {
        "sum": world.sum(mine.sum()).item(),
        "largest": world.largest(mine.max()).item(),
        "rows": world.gather_rows(mine).tolist(),
        "objects": world.gather_objects(f"rank {world.rank}"),
        "any": (world.any(world.rank == 1), world.any(False)),
        "told": world.of_leader(world.rank + 10),
        "leads": world.leads,
    }


def test_all_processes_get_the_same_answers_and_the_first_one_leads() -> None:
    first, second, third = run_ranks(3, meet)
    assert first | {"leads": None} == second | {"leads": None} == third | {"leads": None}
    assert [answers["leads"] for answers in (first, second, third)] == [True, False, False]
    assert first["sum"] == 15 and first["largest"] == 5 and first["rows"] == [0, 1, 2, 3, 4, 5]
    assert first["objects"] == ["rank 0", "rank 1", "rank 2"]
    assert first["any"] == (True, False) and first["told"] == 10


def fail(world: World) -> None:
    if world.rank == 1:
        raise ValueError("not here")
    world.wait()


def test_a_process_that_fails_ends_the_others() -> None:
    with pytest.raises(RuntimeError, match="ValueError: not here"):
        run_ranks(2, fail)


def wait_for_long(world: World) -> None:
    time.sleep(600)


def test_processes_that_do_not_end_are_ended() -> None:
    with pytest.raises(TimeoutError, match="2 processes of wait_for_long after 5 s"):
        run_ranks(2, wait_for_long, limit=5)
