"""Cores whose products are rounded to bfloat16: numbers of several types meet in every cell."""

import pytest
import torch
from torch import Tensor

from metta.policy.nets.components.cells import TOKENS
from metta.policy.nets.components.cortex import CortexSettings
from metta.policy.nets.interface import State
from metta.policy.nets.modules.cortex import Cortex
from metta.policy.nets.shapes import Shape
from tests.policy.nets.test_cells import SMALL, WIDTH

TIME, BATCH = 6, 5


def core_of(pattern: str) -> Cortex:
    torch.manual_seed(0)
    return CortexSettings(d_hidden=WIDTH, pattern=pattern, cells=SMALL).build(Shape("vector", (6,)), None)  # pyright: ignore


def unrolled(core: Cortex, x: Tensor, resets: Tensor, rounded: bool) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
        return core.unroll(x, core.initial_state(BATCH), resets).float()


@pytest.mark.parametrize("pattern", TOKENS)
def test_a_segment_and_its_steps_come_near_to_what_they_are_in_float32(pattern: str) -> None:
    core, draws = core_of(pattern), torch.Generator().manual_seed(1)
    x, resets = torch.randn(TIME, BATCH, 6, generator=draws), torch.rand(TIME, BATCH, generator=draws) < 0.2
    exact, near = unrolled(core, x, resets, False), unrolled(core, x, resets, True)
    torch.testing.assert_close(near, exact, rtol=0.1, atol=0.1)
    state: State = core.initial_state(BATCH)
    for row, ended, expected in zip(x, resets, near.detach(), strict=True):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            output, after = core.step(row, core.reset(state, ended))
        state = tuple(new.to(part.dtype) for new, part in zip(after, state, strict=True))
        torch.testing.assert_close(output.float(), expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("pattern", TOKENS)
def test_all_parameters_that_have_gradients_in_float32_have_finite_ones(pattern: str) -> None:
    found = []
    for rounded in (False, True):
        core = core_of(pattern)
        x = torch.randn(TIME, BATCH, 6, generator=torch.Generator().manual_seed(1))
        unrolled(core, x, torch.zeros(TIME, BATCH, dtype=torch.bool), rounded).square().sum().backward()
        found.append({name: part.grad for name, part in core.named_parameters() if part.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert all(part.dtype is torch.float32 and part.isfinite().all() for part in found[1].values())
