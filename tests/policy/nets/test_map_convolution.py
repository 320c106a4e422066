"""The map memory that convolutions read: torch's operations alone, and the same maps as those that are searched."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from metta.game.observation import EnvInfo
from metta.policy.nets.components.map_memory import MapMemorySettings
from metta.policy.nets.landmarks import code_bytes
from metta.policy.nets.modules.map_convolution import MapConvolution, Scale
from metta.policy.nets.modules.map_memory import sizes_of
from metta.policy.nets.shapes import Shape
from tests.policy.nets.test_map_memory import (
    AGENTS,
    GIVEN,
    INFO,
    SEEDS,
    STEPS,
    TEAM,
    Place,
    check_apart,
    check_steps,
    line,
    memory,
    random_walks,
    sight,
)

SIDES = st.sampled_from([64, 128, 256])
PADDING = 255


def settings_of(**changes: object) -> MapMemorySettings:
    return MapMemorySettings.model_validate({"read": "convolution", "width": 16, "side": 64, **changes})


def convolution(info: EnvInfo = INFO, **changes: object) -> MapConvolution:
    torch.manual_seed(0)
    module = settings_of(**changes).build(GIVEN, info)
    assert isinstance(module, MapConvolution)
    return module


def without_room(tokens: Tensor) -> Tensor:
    """The same, filled up with the last token of each."""
    last = (tokens[..., 0] != PADDING).sum(-1) - 1
    filling = tokens.gather(-2, last[..., None, None].expand(*last.shape, 1, 3))
    return torch.where(tokens[..., :1] == PADDING, filling, tokens)


@given(SEEDS, STEPS, AGENTS, SIDES, st.sampled_from([5, 200, 1000]), st.booleans())
@settings(max_examples=25)
def test_its_maps_are_those_that_are_searched(
    seed: int, steps: int, agents: int, side: int, forget: int, full: bool
) -> None:
    searched, read = memory(side=side, forget=forget), convolution(side=side, forget=forget)
    tokens, resets = random_walks(seed, steps, agents)
    tokens = without_room(tokens) if full else tokens
    state = there = read.initial_state(agents)
    for row, ended in zip(tokens, resets, strict=True):
        _, there = searched.step(row, searched.reset(there, ended))
        _, state = read.step(row, read.reset(state, ended))
        assert all(map(torch.equal, state, there))
        assert [part.dtype for part in state] == [part.dtype for part in there]


def test_its_maps_stay_those_that_are_searched_until_stamps_begin_anew() -> None:
    forget, side = 100, 64
    searched, read = memory(side=side, forget=forget), convolution(side=side, forget=forget)
    state = there = read.initial_state(1)
    for step in range(600):
        row = torch.from_numpy(sight((step // 40, -step // 50), {(2, -3): ("c:hub", TEAM)})).unsqueeze(0)
        (_, there), (_, state) = searched.step(row, there), read.step(row, state)
    assert all(map(torch.equal, state, there))


@given(SEEDS, STEPS, AGENTS, SIDES)
@settings(max_examples=15)
def test_unrolled_it_gives_what_it_gives_step_by_step(seed: int, steps: int, agents: int, side: int) -> None:
    check_steps(convolution(side=side), *random_walks(seed, steps, agents))


@given(SEEDS, STEPS, AGENTS)
@settings(max_examples=10)
def test_agents_do_not_see_each_others_maps(seed: int, steps: int, agents: int) -> None:
    check_apart(convolution(), *random_walks(seed, steps, agents))


def difference(module: MapConvolution, places: list[Place], seen: Place) -> Tensor:
    """How far apart it is after each step whether or not there was a hub to see: [steps]."""
    walks = [[sight(place, things) for place in places] for things in ({seen: ("c:hub", TEAM)}, {})]
    tokens = torch.from_numpy(np.array(walks)).transpose(0, 1)
    with torch.no_grad():
        given = module.unroll(tokens, module.initial_state(2), torch.zeros(tokens.shape[:2], dtype=torch.bool))
    return (given[:, 0] - given[:, 1]).abs().sum(-1)


@pytest.mark.parametrize("side", [64, 128, 256])
def test_what_was_seen_is_remembered_after_walking_away(side: int) -> None:
    """Within the 21 x 21 cells, then as a patch of the whole."""
    assert bool((difference(convolution(side=side), line(40), (0, -3)) > 1e-4).all())


def test_what_was_not_seen_for_long_is_forgotten() -> None:
    forget, side = 100, 64
    apart = difference(convolution(forget=forget, side=side), line(12) + [(0, 11)] * (forget + side + 20), (0, -4))
    assert bool((apart[: forget // 2] > 1e-4).all()), "forgotten too early"
    assert bool((apart[-10:] == 0).all()), "not forgotten"


@given(SEEDS, st.sampled_from([(21, 1), (16, 4), (4, 16)]))
@settings(max_examples=20)
def test_a_patch_tells_which_codes_there_are_in_it_and_what_share_of_it_is_unknown(
    seed: int, scale: tuple[int, int]
) -> None:
    (patches, width), side, codes = scale, 64, 30
    draws = np.random.default_rng(seed)
    cells = draws.integers(0, codes, (1, side * side)) * (draws.random((1, side * side)) < 0.3)
    here = int(draws.integers(0, side * side))
    module = Scale(sizes_of(side, 1000), patches, width, 4, 2, [2, 2])
    cut = module.cut(torch.from_numpy(cells).short(), torch.tensor([here]), torch.zeros(1, 1, dtype=torch.int16))
    half = patches * width // 2
    for row, col in draws.integers(0, patches, (20, 2)).tolist():
        rows, cols = (np.arange(width) + at * width - half for at in (row, col))
        inside = cells[0, (here + rows[:, None] * side + cols).flatten() % (side * side)]
        told = cut[0, :, row * patches + col].tolist()
        assert {code for code in range(32) if told[code % 4] >> code // 4 & 1} == set(inside.tolist())
        assert told[4] == round(255 * float((inside == 0).mean()))
        assert told[5] == round(255 * float((inside != 0).mean())), "all that is known was seen just now"


def test_what_is_known_grows_less_fresh() -> None:
    sizes = sizes_of(64, 1000)
    module = Scale(sizes, 21, 1, 4, 2, [2, 2])
    cells = torch.ones(1, 64 * 64, dtype=torch.int16)
    fresh = [
        int(module.cut(cells, torch.tensor([0]), torch.full((1, 1), age, dtype=torch.int16))[0, -1, 0])
        for age in range(0, 1000 // sizes.unit + 1, 10)
    ]
    assert fresh[0] == 255 and fresh[-1] > 0
    assert fresh == sorted(fresh, reverse=True)


@pytest.mark.parametrize("rounded", [False, True], ids=["float32", "autocast"])
def test_gradients_reach_tables_and_convolutions(rounded: bool) -> None:
    module, (tokens, resets) = convolution(), random_walks(3, 6, 4)
    with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
        module.unroll(tokens, module.initial_state(4), resets).float().square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()) and bool(parameter.grad.abs().sum() > 0), name


def test_under_autocast_it_comes_near_to_what_it_is_in_float32() -> None:
    module, (tokens, resets) = convolution(), random_walks(4, 6, 4)
    exact = module.unroll(tokens, module.initial_state(4), resets)
    with torch.autocast("cpu", torch.bfloat16):
        near = module.unroll(tokens, module.initial_state(4), resets)
    torch.testing.assert_close(near.float(), exact, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("side", [64, 128, 256])
def test_state_takes_two_bytes_a_cell_and_none_of_it_is_a_weight(side: int) -> None:
    module = convolution(side=side)
    assert sum(part.nbytes for part in module.initial_state(3)) == 3 * (2 * side * side + 4)
    assert set(dict(module.named_parameters())) == set(module.state_dict())


@pytest.mark.parametrize("changes", [{}, {"side": 256, "embedding": 5, "channels": [8, 24]}])
def test_its_work_is_what_torch_counts_and_nothing_waits_for_values(changes: dict[str, object]) -> None:
    """On the device that has no values: what looks at one fails there."""
    shape, agents = settings_of(**changes), 5
    assert shape.output(GIVEN, INFO) == Shape("vector", (16,))
    module = convolution(**changes).to("meta")
    tokens = torch.zeros(1, agents, *INFO.observation_shape, dtype=torch.uint8, device="meta")
    resets = torch.zeros(1, agents, dtype=torch.bool, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        given = module.unroll(tokens, module.initial_state(agents), resets)
    assert given.shape == (1, agents, 16)
    assert counter.get_total_flops() == agents * shape.work(GIVEN, INFO).forward
    assert shape.work(GIVEN, INFO).first == sum(
        2 * patches**2 * (8 * code_bytes(INFO) + 2) * shape.embedding for patches in (21, 16)
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_it_gives_what_it_gives_on_the_cpu_and_waits_for_nothing() -> None:
    module, (tokens, resets) = convolution(side=128), random_walks(5, 12, 4)
    expected = module.unroll(tokens, module.initial_state(4), resets)
    _, state = module.step(tokens[0], module.initial_state(4))
    there = module.to("cuda")
    tokens, resets, before = tokens.to("cuda"), resets.to("cuda"), there.initial_state(4)
    there.unroll(tokens, before, resets).sum().backward()  # libraries are loaded by now
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = there.unroll(tokens, before, resets)
        found.sum().backward()
        _, after = there.step(tokens[0], before)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-2, atol=1e-2)
    assert all(torch.equal(part.cpu(), known) for part, known in zip(after, state, strict=True))
