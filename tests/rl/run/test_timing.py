"""Where the time of an epoch goes, on the processor and on a device that works behind the program."""

import time

import pytest
import torch

from metta.rl.run.timing import Stopwatch

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_phases_and_the_rest_are_the_whole() -> None:
    watch = Stopwatch(torch.device("cpu"))
    for _ in range(3):
        watch.reset()
        with watch.phase("env"):
            time.sleep(0.02)
        time.sleep(0.01)
        with watch.phase("env"), pytest.raises(ZeroDivisionError):
            _ = 1 / 0
        total, phases = watch.read()
        assert phases["env"] >= 0.02 and phases["other"] >= 0.01 and phases["forward"] == 0
        assert sum(phases.values()) == pytest.approx(total)


@pytest.mark.gpu
@CUDA
def test_work_that_is_only_queued_counts_where_it_was_queued() -> None:
    watch, matrix = Stopwatch(torch.device("cuda")), torch.rand(4096, 4096, device="cuda")
    for _ in range(2):
        watch.reset()
        with watch.phase("forward"):
            for _ in range(50):
                matrix = (matrix @ matrix).clamp(0, 1)
        with watch.phase("optimizer"):
            total = float(matrix.sum())  # waits for all of it
        total, phases = watch.read()
        assert phases["forward"] > 20 * phases["optimizer"]
        assert sum(phases.values()) == pytest.approx(total)
