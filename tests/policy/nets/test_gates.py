"""Compiled gates and mixtures give what torch gives."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from metta.policy.nets.modules.gates import gru_gate, mix

sizes = st.tuples(st.integers(1, 9), st.integers(1, 19))
seeds = st.integers(0, 2**31)


def check(run, leaves: list[torch.Tensor]) -> None:
    """float64 takes torch's way."""
    results = []
    for kind in (torch.float32, torch.float64):
        own = [leaf.to(kind, copy=True).requires_grad_() for leaf in leaves]
        output = run(*own)
        found = torch.autograd.grad(output.sin().sum(), own)
        results.append([part.float() for part in (output, *found)])
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-4)


@given(size=sizes, seed=seeds)
def test_the_compiled_gate_gives_what_torch_gives(size: tuple[int, int], seed: int) -> None:
    (rows, width), random = size, torch.Generator().manual_seed(seed)
    shapes = ((rows, width), (rows, 3 * width), (rows, 2 * width), (width, width))
    check(gru_gate, [torch.randn(shape, generator=random) for shape in shapes])


@given(size=sizes, outputs=st.integers(1, 4), seed=seeds)
def test_the_compiled_mixture_gives_what_torch_gives(size: tuple[int, int], outputs: int, seed: int) -> None:
    (rows, width), random = size, torch.Generator().manual_seed(seed)
    leaves = [torch.randn(rows, outputs, generator=random)]
    leaves += [torch.randn(rows, width, generator=random) for _ in range(outputs)]
    check(lambda weights, *given: mix(weights, given), leaves)
