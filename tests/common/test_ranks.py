"""Which process of a run this is, as the environment says, and what that makes of it."""

import os
import subprocess
import sys

import pytest

from metta.common.errors import UserError
from metta.common.ranks import VARIABLES, Place, find_place, is_launched


def environment(*values: object) -> dict[str, str]:
    return {name: str(value) for name, value in zip(VARIABLES, values, strict=True)}


def test_a_process_that_nothing_launched_is_alone_and_leads() -> None:
    assert find_place({}) == Place(0, 1, 0, 1) and find_place({}).leads
    assert not is_launched({"RANK": "1"}) and find_place({"RANK": "1"}).size == 1


def test_the_environment_names_the_place() -> None:
    assert find_place(environment(5, 8, 1, 4)) == Place(rank=5, size=8, local_rank=1, local_size=4)
    assert not find_place(environment(5, 8, 1, 4)).leads


@pytest.mark.parametrize(
    "values", [(2, 2, 0, 1), (0, 2, 2, 2), (0, 2, 0, 3), (-1, 2, 0, 1), ("x", 2, 0, 1), (0, 2, 0, "")]
)
def test_numbers_that_contradict_each_other_are_refused_in_one_line(values: tuple[object, ...]) -> None:
    with pytest.raises(UserError, match=r"^the environment's RANK=.*; torchrun sets all four$"):
        find_place(environment(*values))


@pytest.mark.parametrize(
    ("visible", "local_rank", "own"),
    [(None, 1, "1"), ("4,6", 1, "6"), ("4,6", 0, "4"), ("4,6", 2, ""), ("GPU-a", 0, "GPU-a")],
)
def test_each_process_sees_a_gpu_of_its_own_and_only_rank_0_speaks(
    visible: str | None, local_rank: int, own: str
) -> None:
    script = (
        "import os; from metta.common.ranks import begin; from metta.common.logging import note, warn\n"
        "import sys; begin(); note('a note'); print('a line'); warn('a warning')\n"
        "print('[' + os.environ['CUDA_VISIBLE_DEVICES'] + ']', file=sys.stderr)"
    )
    given = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    given |= environment(local_rank, 3, local_rank, 3) | ({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    done = subprocess.run([sys.executable, "-c", script], env=given, capture_output=True, text=True, check=True)
    assert done.stdout == ("" if local_rank else "a note\na line\n")
    assert done.stderr == ("" if local_rank else "warning: a warning\n") + f"[{own}]\n"
