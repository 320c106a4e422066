"""What an agent has, and the choice among what its map tells."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from metta.common.errors import UserError
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.interface import SpaceInfo
from metta.policy.nets.agent import AgentSettings
from metta.policy.nets.components.amounts import AmountsSettings
from metta.policy.nets.components.map_memory import MapMemorySettings
from metta.policy.nets.components.pointer import PointerSettings
from metta.policy.nets.landmarks import FOUND, NUMBERS, slots_of
from metta.policy.nets.modules.amounts import Amounts
from metta.policy.nets.modules.pointer import Pointer
from metta.policy.nets.recoding import STEPS, amounts_of
from metta.policy.nets.shapes import Shape
from metta.policy.nets.wiring import wire

INFO = env_info(Mission())
IDS = {feature.name: feature.id for feature in INFO.features}
SEEN, SLOTS = Shape("observations", INFO.observation_shape), slots_of(INFO)
OWN, NOWHERE, BESIDE = 0x55, 0xFE, 0x56
QUERY, HEADS = 12, 3


def observation(*tokens: tuple[int, str, int]) -> torch.Tensor:
    """Tokens (place, feature, value) -> uint8 [1, tokens, 3]."""
    seen = torch.full((1, *INFO.observation_shape), 255, dtype=torch.uint8)
    for index, (place, feature, value) in enumerate(tokens):
        seen[0, index] = torch.tensor([place, IDS[feature], value])
    return seen


def amounts(width: int = 16) -> Amounts:
    torch.manual_seed(0)
    return AmountsSettings(width=width).build(SEEN, INFO)  # pyright: ignore


def pointer() -> Pointer:
    torch.manual_seed(0)
    return PointerSettings(heads=HEADS).build(Shape("vector", (QUERY + SLOTS * NUMBERS,)), INFO)  # pyright: ignore


@given(st.sampled_from(amounts_of(INFO)), st.integers(0, 255), st.sampled_from([OWN, NOWHERE]))
@settings(max_examples=30)
def test_an_amount_is_read_where_the_agent_stands_and_where_no_place_is_told(name: str, value: int, place: int) -> None:
    told = dict(zip(amounts_of(INFO), amounts().read(observation((place, name, value)))[0].tolist(), strict=True))
    assert told == {other: float(value) if other == name else 0.0 for other in told}


def test_what_lies_beside_the_agent_is_none_of_its_amounts() -> None:
    assert amounts().read(observation((BESIDE, "inv:heart", 3))).sum() == 0


def test_two_bytes_make_one_amount() -> None:
    told = amounts().read(observation((OWN, "inv:hp", 10), (OWN, "inv:hp:p1", 1)))[0]
    assert told[amounts_of(INFO).index("inv:hp")] == 266


def test_an_amount_just_at_a_step_is_told_otherwise_than_one_just_below() -> None:
    module = amounts()
    for step in STEPS[:-2]:
        below, at = (module(observation((OWN, "inv:carbon", value))) for value in (step - 1, step))
        assert (below - at).abs().max() > 0.01


def test_amounts_tell_their_shape_and_work() -> None:
    component = AmountsSettings(width=24)
    assert component.output(SEEN, INFO) == Shape("vector", (24,))
    layer = amounts(24)._layer  # pyright: ignore
    assert component.work(SEEN, INFO).forward == component.work(SEEN, INFO).first == 2 * layer.weight.numel()
    with pytest.raises(ValueError, match="tokens of the game only"):
        component.output(Shape("observations", (4,)), SpaceInfo((4,), "float32", (2,), 1))


def told_of(present: torch.Tensor) -> torch.Tensor:
    """Random numbers of slots [n, slots, NUMBERS], zeros where nothing is."""
    numbers = torch.rand(len(present), SLOTS, NUMBERS)
    numbers[..., FOUND] = 1
    return numbers * present.unsqueeze(-1)


def test_a_head_tells_of_the_only_thing_there_whatever_the_query_is() -> None:
    only = torch.arange(SLOTS)
    told = told_of(torch.eye(SLOTS))
    chosen = pointer()(torch.cat([torch.randn(SLOTS, QUERY), told.flatten(1)], -1)).unflatten(-1, (HEADS, NUMBERS))
    torch.testing.assert_close(chosen, told[only, only].unsqueeze(1).expand_as(chosen))


def test_where_nothing_is_nothing_is_told() -> None:
    assert pointer()(torch.cat([torch.randn(2, QUERY), torch.zeros(2, SLOTS * NUMBERS)], -1)).abs().sum() == 0


def test_which_of_two_things_is_told_is_learned_from_the_query() -> None:
    """Each query wants another slot: one layer reads both, as the product of what is wanted and what is there."""
    module, first = pointer(), torch.rand(256, 1) < 0.5
    query = torch.cat([first.float(), torch.zeros(256, QUERY - 1)], -1)
    told = told_of(torch.ones(256, SLOTS))
    wanted = torch.where(first, told[:, 2], told[:, 7])
    optimizer = torch.optim.Adam(module.parameters(), 0.1)
    for _ in range(150):
        off = (module(torch.cat([query, told.flatten(1)], -1)).unflatten(-1, (HEADS, NUMBERS))[:, 0] - wanted).square()
        optimizer.zero_grad()
        off.mean().backward()
        optimizer.step()
    assert float(off.detach().mean()) < 0.005 < float(wanted.var(0).mean())


def test_the_work_of_a_pointer_is_what_torch_counts() -> None:
    given = Shape("vector", (QUERY + SLOTS * NUMBERS,))
    with torch.device("meta"):
        module = PointerSettings(heads=HEADS).build(given, INFO)
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(5, given.width, device="meta"))
    assert counter.get_total_flops() / 5 == PointerSettings(heads=HEADS).work(given, INFO).forward


def test_a_pointer_without_a_query_is_refused() -> None:
    components = AgentSettings.model_validate({"name": "map"}).components
    alone = {**components, "pointer": PointerSettings(input="map_memory")}
    with pytest.raises(UserError, match=rf"pointer: .*a query and then the {SLOTS * NUMBERS} numbers of a map_memory"):
        wire(alone, INFO, auxiliary=False)


def test_a_map_that_tells_numbers_as_they_are_gives_those_of_every_slot() -> None:
    assert MapMemorySettings(width=None).output(SEEN, INFO) == Shape("vector", (SLOTS * NUMBERS,))
    with pytest.raises(ValueError, match="read=convolution"):
        MapMemorySettings(width=None, read="convolution").output(SEEN, INFO)
