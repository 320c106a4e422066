"""Recurrent cells, and cores made of them: a segment is step after step, whatever ends within it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from metta.policy.nets.components.cells import TOKENS, CellSettings
from metta.policy.nets.components.cortex import CortexSettings
from metta.policy.nets.interface import State
from metta.policy.nets.modules.cells.agalite import LEAST, Agalite
from metta.policy.nets.modules.cells.agalite_loop import attend
from metta.policy.nets.modules.cells.base import Cell
from metta.policy.nets.modules.cells.lstm import Lstm
from metta.policy.nets.modules.cells.slstm import recur_by_steps
from metta.policy.nets.modules.cells.slstm_loop import recur
from metta.policy.nets.modules.cortex import Cortex
from metta.policy.nets.shapes import Shape
from tests.policy.nets.reference_core import ReferenceCore, run_cell

WIDTH = 8
SMALL = {
    "Ag": {"heads": 2, "eta": 3},
    "S": {"heads": 2},
    "M": {"heads": 2},
    "X": {"heads": 2, "memory": 3},
    "C": {"kernel": 3},
}
PATTERNS = ["Ag,A,S", "LGC", "MX", ["S", "AgG"]]

seeds = st.integers(0, 2**31)
shares = st.sampled_from([0.0, 0.15, 0.5])


def settings_of(token: str) -> CellSettings:
    return TOKENS[token](**SMALL.get(token, {}))


def a_cell(token: str, seed: int) -> Cell:
    torch.manual_seed(seed)
    return settings_of(token).build(WIDTH)


def a_core(pattern: str | list[str], seed: int) -> Cortex:
    torch.manual_seed(seed)
    cells = {token: dict(SMALL[token]) for token in SMALL}
    core = CortexSettings(d_hidden=WIDTH, pattern=pattern, cells=cells).build(Shape("vector", (6,)), None)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return core


def a_segment(cell: Cell, width: int, share: float, time: int = 7, batch: int = 4) -> tuple[Tensor, State, Tensor]:
    """Inputs, a state some steps into episodes, and resets."""
    state = cell.initial_state(batch)
    with torch.no_grad():
        for _ in range(int(torch.randint(0, 6, ()))):
            state = cell.step(torch.randn(batch, width), state)[1]
    return torch.randn(time, batch, width), state, torch.rand(time, batch) < share


def by_steps(cell: Cell, x: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
    outputs = []
    for now, ended in zip(x, resets, strict=True):
        output, state = cell.step(now, cell.reset(state, ended))
        outputs.append(output)
    return torch.stack(outputs), state


def gradients(cell: Cell, output: Tensor, given: tuple[Tensor, ...]) -> list[Tensor]:
    leaves = [*given, *cell.parameters()]
    weights = torch.linspace(-1, 1, output.numel()).view(output.shape)
    found = torch.autograd.grad((weights * output).sum(), leaves, allow_unused=True)
    return [torch.zeros_like(leaf) if part is None else part for leaf, part in zip(leaves, found, strict=True)]


def check_steps(cell: Cell, width: int, share: float) -> None:
    x, state, resets = a_segment(cell, width, share)
    given = (x.requires_grad_(), *(part.requires_grad_() for part in state))
    whole, after = cell.run(x, state, resets)
    stepped, after_steps = by_steps(cell, x, state, resets)
    torch.testing.assert_close(whole, stepped, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after, after_steps, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(cell.unroll(x, state, resets), whole)
    mine, reference = gradients(cell, whole, given), gradients(cell, stepped, given)
    torch.testing.assert_close(mine, reference, atol=1e-4, rtol=1e-4)
    with torch.inference_mode():
        torch.testing.assert_close(by_steps(cell, x, state, resets)[0], whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("token", TOKENS)
@settings(max_examples=20)
@given(seed=seeds, share=shares)
def test_a_segment_of_a_cell_gives_what_its_steps_give(token: str, seed: int, share: float) -> None:
    check_steps(a_cell(token, seed), WIDTH, share)


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=10)
@given(seed=seeds, share=shares)
def test_a_segment_of_a_core_gives_what_its_steps_give(pattern: str | list[str], seed: int, share: float) -> None:
    check_steps(a_core(pattern, seed), 6, share)


@pytest.mark.parametrize("token", TOKENS)
@settings(max_examples=20)
@given(seed=seeds, share=shares)
def test_a_cell_gives_what_plain_formulas_give(token: str, seed: int, share: float) -> None:
    cell = a_cell(token, seed)
    x, state, resets = a_segment(cell, WIDTH, share)
    given = (x.requires_grad_(), *(part.requires_grad_() for part in state))
    mine, reference = cell.unroll(x, state, resets), run_cell(cell, x, state, resets)
    torch.testing.assert_close(mine, reference, atol=2e-5, rtol=2e-5)
    torch.testing.assert_close(gradients(cell, mine, given), gradients(cell, reference, given), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_core_gives_what_plain_formulas_give(pattern: str | list[str]) -> None:
    core = a_core(pattern, 3)
    x, state, resets = a_segment(core, 6, 0.2)
    mine, reference = core.unroll(x, state, resets), ReferenceCore(core).unroll(x, state, resets)
    torch.testing.assert_close(mine, reference, atol=2e-5, rtol=2e-5)
    torch.testing.assert_close(gradients(core, mine, ()), gradients(core, reference, ()), atol=1e-4, rtol=1e-3)


@settings(max_examples=20)
@given(seed=seeds, share=shares, heads=st.integers(1, 3), eta=st.integers(1, 4), r=st.integers(1, 3))
def test_the_compiled_agalite_gives_what_its_outer_products_give(
    seed: int, share: float, heads: int, eta: int, r: int
) -> None:
    torch.manual_seed(seed)
    cell = Agalite(6 * heads, heads, eta, r)
    projected, expanded = torch.randn(5, 4, 30 * heads), torch.randn(5, 4, 3 * heads * eta)
    waves, resets = torch.rand(5, 4, r), torch.rand(5, 4) < share
    waves[..., 0] = 1
    state = [torch.rand(4, *shape) for shape in cell.state_shapes()[:2]]
    results = []
    for run in (cell.attend_plainly, lambda *given: attend(*given, LEAST)):
        leaves = [leaf.clone().requires_grad_() for leaf in (projected, expanded, *state)]
        found = run(leaves[0], leaves[1], waves, (leaves[2], leaves[3]), resets)
        total = sum((part.sin().sum() for part in found), torch.zeros(()))
        results.append((found, torch.autograd.grad(total, leaves)))
    torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)


@settings(max_examples=20)
@given(seed=seeds, share=shares, head=st.integers(1, 9), batch=st.integers(1, 40))
def test_the_compiled_slstm_gives_what_plain_steps_give(seed: int, share: float, head: int, batch: int) -> None:
    torch.manual_seed(seed)
    time, heads = 5, 3
    leaves = [2 * torch.randn(time, batch, heads * 2 * head) for _ in range(2)]
    leaves += [torch.randn(heads, head, 4 * head), *(torch.rand(4, batch, heads, head) + 0.5)]
    resets = torch.rand(time, batch) < share
    results = []
    for run in (recur, recur_by_steps):
        gates, values, recurrent, *state = (leaf.clone().requires_grad_() for leaf in leaves)
        outputs, after = run(gates, values, recurrent, tuple(state), resets)
        total = outputs.sin().sum() + after[1].cos().sum() + after[2].sin().sum()
        found = torch.autograd.grad(total, (gates, values, recurrent, *state))
        results.append((outputs, after, found))
    torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)


@settings(max_examples=20)
@given(seed=seeds, share=shares)
def test_an_lstm_gives_the_same_by_pieces_and_by_steps(seed: int, share: float) -> None:
    cell = a_cell("L", seed)
    assert isinstance(cell, Lstm)
    given = a_segment(cell, WIDTH, share)
    torch.testing.assert_close(cell.run_by_steps(*given), cell.run_by_pieces(*given), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("token", TOKENS)
def test_a_reset_gives_marked_rows_their_initial_state_and_leaves_the_others(token: str) -> None:
    cell = a_cell(token, 0)
    state = cell.initial_state(3)
    for _ in range(3):
        state = cell.step(torch.randn(3, WIDTH), state)[1]
    ended = torch.tensor([False, True, False])
    for part, fresh, was in zip(cell.reset(state, ended), cell.initial_state(3), state, strict=True):
        assert torch.equal(part[1], fresh[1])
        assert torch.equal(part[[0, 2]], was[[0, 2]])


@pytest.mark.parametrize("token", TOKENS)
def test_rows_do_not_see_each_other_and_given_state_stays_as_it_is(token: str) -> None:
    cell = a_cell(token, 0)
    x, state, resets = a_segment(cell, WIDTH, 0.2)
    before = [part.clone() for part in state]
    whole = cell.unroll(x, state, resets)
    cell.step(x[0], state)
    assert all(torch.equal(part, was) for part, was in zip(state, before, strict=True))
    alone = cell.unroll(x[:, 1:2], tuple(part[1:2] for part in state), resets[:, 1:2])
    torch.testing.assert_close(alone, whole[:, 1:2], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("token", TOKENS)
def test_weights_hold_no_state(token: str) -> None:
    cell = a_cell(token, 0)
    before = {name: part.clone() for name, part in cell.state_dict().items()}
    cell.step(torch.randn(3, WIDTH), cell.initial_state(3))
    assert before.keys() == dict(cell.named_parameters()).keys()
    assert all(torch.equal(part, before[name]) for name, part in cell.state_dict().items())


@pytest.mark.parametrize("token", TOKENS)
def test_under_autocast_a_segment_is_nearly_the_same_and_its_state_float32(token: str) -> None:
    cell = a_cell(token, 0)
    x, state, resets = a_segment(cell, WIDTH, 0.2)
    exact = cell.unroll(x, state, resets)
    for inputs in (x, x.bfloat16()):
        with torch.autocast("cpu", torch.bfloat16):
            output, after = cell.run(inputs, state, resets)
        output.float().sum().backward()
        assert all(part.dtype is torch.float32 for part in after)
        torch.testing.assert_close(output.float(), exact, atol=0.1, rtol=0.1)


def test_under_autocast_a_core_is_nearly_the_same() -> None:
    core = a_core("Ag,A,S", 0)
    x, state, resets = a_segment(core, 6, 0.2)
    exact = core.unroll(x, state, resets)
    with torch.autocast("cpu", torch.bfloat16):
        output = core.unroll(x.bfloat16(), state, resets)
    output.float().sum().backward()
    torch.testing.assert_close(output.float(), exact, atol=0.2, rtol=0.2)


@pytest.mark.parametrize("token", TOKENS)
def test_the_work_told_is_that_of_the_plain_formulas(token: str) -> None:
    width, time, batch = 32, 4, 32
    cell_settings = settings_of(token)
    cell = cell_settings.build(width)
    x, state, resets = torch.randn(time, batch, width), cell.initial_state(batch), torch.zeros(time, batch) > 0
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run_cell(cell, x, state, resets)
    assert counter.get_total_flops() / (time * batch) == pytest.approx(cell_settings.work(width), rel=0.05)


def test_agalite_has_no_two_oscillators_alike() -> None:
    cell = a_cell("Ag", 0)
    state = cell.initial_state(2)
    for _ in range(3):
        state = cell.step(torch.randn(2, WIDTH), state)[1]
    keys = state[0]
    assert not torch.allclose(keys[:, 0], keys[:, 1])
