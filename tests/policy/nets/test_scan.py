"""Linear recurrences: fast ways give what plain torch gives."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from metta.policy.nets.modules.scan import scan, scan_by_steps, turning_scan
from metta.policy.nets.modules.scan_triton import AVAILABLE

sizes = st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 19))


def inputs(size: tuple[int, int, int], seed: int, share: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Decay, added, start and resets."""
    time, batch, width = size
    random = torch.Generator().manual_seed(seed)
    decay, added = torch.rand(size, generator=random), torch.randn(size, generator=random)
    start = torch.randn(batch, width, generator=random)
    return decay, added, start, torch.rand(time, batch, generator=random) < share


def values_and_gradients(run, given: tuple[Tensor, ...], resets: Tensor) -> list[Tensor]:
    leaves = [part.clone().requires_grad_() for part in given]
    output = run(*leaves, resets)
    return [output, *torch.autograd.grad(output.sin().sum(), leaves)]


@given(size=sizes, seed=st.integers(0, 2**31), share=st.sampled_from([0.0, 0.2, 1.0]))
def test_the_compiled_scan_gives_what_plain_steps_give(size: tuple[int, int, int], seed: int, share: float) -> None:
    *given, resets = inputs(size, seed, share)
    mine, reference = (values_and_gradients(run, tuple(given), resets) for run in (scan, scan_by_steps))
    torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-5)


@given(size=sizes, seed=st.integers(0, 2**31), share=st.sampled_from([0.0, 0.2, 1.0]))
def test_the_compiled_turning_scan_gives_what_complex_numbers_give(
    size: tuple[int, int, int], seed: int, share: float
) -> None:
    time, batch, units = size
    decay, *given, resets = inputs((time, batch, 2 * units), seed, share)
    radius, angle = decay[0, 0, :units], 3 * decay[0, 0, units:]

    def plainly(radius: Tensor, angle: Tensor, added: Tensor, start: Tensor, resets: Tensor) -> Tensor:
        h, outputs = torch.complex(*start.chunk(2, -1)), []
        for new, ended in zip(torch.complex(*added.chunk(2, -1)), resets, strict=True):
            h = torch.polar(radius, angle) * h.masked_fill(ended.unsqueeze(1), 0) + new
            outputs.append(torch.cat([h.real, h.imag], dim=-1))
        return torch.stack(outputs)

    def compiled(radius: Tensor, angle: Tensor, *others: Tensor) -> Tensor:
        return turning_scan((radius, angle), *others)

    def by_turning_axes(radius: Tensor, angle: Tensor, *others: Tensor) -> Tensor:
        double = [part.double() for part in (radius, angle, *others[:2])]
        return turning_scan((double[0], double[1]), double[2], double[3], others[2]).float()

    given = (radius, angle, *given)
    reference = values_and_gradients(plainly, given, resets)
    for run in (compiled, by_turning_axes):
        torch.testing.assert_close(values_and_gradients(run, given, resets), reference, atol=2e-5, rtol=1e-4)


TRITON_CHECK = """
import torch
from metta.policy.nets.modules import scan_triton
from metta.policy.nets.modules.scan import scan_by_steps
from tests.policy.nets.test_scan import inputs, values_and_gradients
for size, share in (((7, 3, 5), 0.2), ((4, 2, 130), 0.5), ((1, 2, 3), 0.0), ((3, 2, 4), 1.0)):
    *given, resets = inputs(size, 1, share)
    mine, reference = (values_and_gradients(run, tuple(given), resets) for run in (scan_triton.scan, scan_by_steps))
    torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-5)
"""


@pytest.mark.skipif(not AVAILABLE, reason="triton is not installed")
def test_the_triton_kernels_give_what_plain_steps_give() -> None:
    """In Triton's interpreter, which has to be asked for before it is imported."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", TRITON_CHECK], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
