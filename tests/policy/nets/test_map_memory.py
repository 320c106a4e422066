"""The map memory: what was seen is remembered where it was, with the ways there."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.interface import SpaceInfo
from metta.policy.nets.components.map_memory import MapMemorySettings
from metta.policy.nets.landmarks import MOVES, NUMBERS, OWNERS, kinds_of, slots_of
from metta.policy.nets.modules.base import Memory
from metta.policy.nets.modules.map_memory import MapMemory
from metta.policy.nets.shapes import Shape

INFO = env_info(Mission())
GIVEN = Shape("observations", INFO.observation_shape)
FEATURES = {feature.name: feature.id for feature in INFO.features}
NORTH, SOUTH, WEST, EAST = range(MOVES)
NOBODYS, OURS, THEIRS = range(OWNERS)
UNKNOWN = 0
TEAM, OTHERS = 1, 0
MIDDLE = 5

Place = tuple[int, int]  # row and column from the agent's first cell


def memory(**changes: int) -> MapMemory:
    torch.manual_seed(0)
    return MapMemorySettings.model_validate({"width": 16, **changes}).build(GIVEN, INFO)  # pyright: ignore


def slot(kind: str, owner: int) -> int:
    return 1 + OWNERS * kinds_of(INFO).index(f"type:{kind}") + owner


def sight(at: Place, things: Mapping[Place, tuple[str, int | None]]) -> np.ndarray:
    """What an agent at a place sees of things by place, each a type and a team: tokens uint8 [tokens, 3]."""
    tokens = np.full(INFO.observation_shape, 255, np.uint8)
    rows: list[tuple[int, int, int]] = []
    for value, ahead, behind in ((at[1], "lp:east", "lp:west"), (at[0], "lp:south", "lp:north")):
        if value:
            rows.append((0xFE, FEATURES[ahead if value > 0 else behind], abs(value)))
    for place, (kind, team) in {at: ("agent", TEAM), **things}.items():
        row, col = place[0] - at[0] + MIDDLE, place[1] - at[1] + MIDDLE
        if not (0 <= row < INFO.window[0] and 0 <= col < INFO.window[1]):
            continue
        if team is not None:
            rows.append((row << 4 | col, FEATURES["collective"], team))
        rows.append((row << 4 | col, FEATURES["tag"], INFO.tags.index(f"type:{kind}")))
    tokens[: len(rows)] = rows
    return tokens


def walked(
    module: MapMemory, places: Iterable[Place], things: Mapping[Place, tuple[str, int | None]]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What an agent finds that comes to these places in turn, [steps, slots, NUMBERS], and its state after them."""
    tokens = torch.from_numpy(np.stack([sight(place, things) for place in places])).unsqueeze(1)
    resets = torch.zeros(len(tokens), 1, dtype=torch.bool)
    found, state = module.look(tokens, module.initial_state(1), resets)
    return found[:, 0], state


def distance(found: Tensor) -> int:
    assert found[MOVES] == 1, "nothing found"
    return round(1 / float(found[MOVES + 1]))


def first_moves(found: Tensor) -> set[int]:
    return set(found[:MOVES].nonzero().flatten().tolist())


def line(length: int, step: Place = (0, 1)) -> list[Place]:
    return [(k * step[0], k * step[1]) for k in range(length)]


def test_what_is_in_view_is_found_with_its_first_moves_and_its_distance() -> None:
    found, _ = walked(memory(), [(0, 0)], {(-2, 3): ("junction", None)})
    junction = found[0, slot("junction", NOBODYS)]
    assert first_moves(junction) == {NORTH, EAST}
    assert distance(junction) == 5
    assert junction[MOVES + 3] < 0 < junction[MOVES + 4]


def test_what_was_seen_is_remembered_after_walking_away() -> None:
    found, _ = walked(memory(), line(40), {(0, -3): ("c:hub", TEAM)})
    hub = found[:, slot("c:hub", OURS)]
    assert [distance(at) for at in hub] == [3 + k for k in range(40)]
    assert all(first_moves(at) == {WEST} for at in hub)


def test_owners_are_told_apart_relative_to_the_own_team() -> None:
    things = {(0, 2): ("junction", None), (0, -3): ("junction", TEAM), (4, 0): ("junction", OTHERS)}
    found, _ = walked(memory(), [(0, 0)], things)
    assert [distance(found[0, slot("junction", owner)]) for owner in (NOBODYS, OURS, THEIRS)] == [2, 3, 4]


def test_a_thing_that_changed_hands_or_is_gone_is_remembered_as_it_was_seen_last() -> None:
    module = memory()
    _, state = walked(module, [(0, 0)], {(0, 2): ("junction", None), (2, 0): ("carbon_extractor", None)})
    now = torch.from_numpy(sight((0, 0), {(0, 2): ("junction", TEAM)})).view(1, 1, -1, 3)
    found = module.look(now, state, torch.zeros(1, 1, dtype=torch.bool))[0][0, 0]
    assert distance(found[slot("junction", OURS)]) == 2
    assert found[slot("junction", NOBODYS)].abs().sum() == 0
    assert found[slot("carbon_extractor", NOBODYS)].abs().sum() == 0


def test_ways_go_around_remembered_walls() -> None:
    wall = {(row, 1): ("wall", None) for row in range(-5, 5)}
    found, _ = walked(memory(), [(0, 0)], {**wall, (0, 2): ("junction", None)})
    assert distance(found[0, slot("junction", NOBODYS)]) == 12
    assert first_moves(found[0, slot("junction", NOBODYS)]) == {SOUTH}


def test_the_way_to_the_nearest_cell_never_seen_is_found() -> None:
    valley = {(row, col): ("wall", None) for row in (-1, 1) for col in range(-6, 30)}
    found, _ = walked(memory(), line(9), {**valley, (0, -5): ("wall", None)})
    assert all(first_moves(at) == {EAST} and distance(at) == MIDDLE + 1 for at in found[:, UNKNOWN])


def test_others_stand_in_the_way_only_while_they_are_near() -> None:
    things = {(0, 4): ("junction", None), (0, 1): ("agent", TEAM)}
    found, _ = walked(memory(), [(0, 0)], things)
    assert distance(found[0, slot("junction", NOBODYS)]) == 6
    free, _ = walked(memory(), [(0, 0)], {(0, 5): ("junction", None), (0, 4): ("agent", TEAM)})
    assert distance(free[0, slot("junction", NOBODYS)]) == 5


def test_what_was_not_seen_for_long_is_forgotten() -> None:
    forget, side = 200, 64
    places = line(12) + [(0, 11)] * (forget + side + 20)
    found, _ = walked(memory(forget=forget, side=side), places, {(0, -4): ("c:hub", TEAM)})
    told = found[:, slot("c:hub", OURS), MOVES]
    assert bool(told[:forget].all()), "forgotten too early"
    assert not bool(told[-10:].any()), "not forgotten"


def test_ages_grow_until_a_thing_is_seen_again() -> None:
    found, _ = walked(memory(), line(12) + line(12)[::-1], {(0, -5): ("c:hub", TEAM)})
    age = found[:, slot("c:hub", OURS), -1]
    assert age[0] == 0 and age[11] > 0 and age[-1] == 0


def test_what_found_no_room_in_an_observation_is_not_taken_for_empty() -> None:
    module, things = memory(), {(0, 4): ("c:hub", TEAM)}
    _, state = walked(module, [(0, 0)], things)
    full = sight((0, 0), {(0, 1): ("junction", None)})
    count = int((full[:, 0] != 255).sum())
    full[count:] = full[count - 1]
    found, _ = module.look(torch.from_numpy(full).view(1, 1, -1, 3), state, torch.zeros(1, 1, dtype=torch.bool))
    assert found[0, 0, slot("c:hub", OURS), MOVES] == 1


@pytest.mark.parametrize("side", [64, 128, 256])
def test_state_takes_two_bytes_a_cell_and_none_of_it_is_a_weight(side: int) -> None:
    module = memory(side=side)
    state = module.initial_state(3)
    assert sum(part.nbytes for part in state) == 3 * (2 * side * side + 4)
    assert set(dict(module.named_parameters())) == set(module.state_dict()) == {"_layer.weight", "_layer.bias"}


def test_its_settings_tell_what_it_gives_and_its_work() -> None:
    shape = MapMemorySettings(width=32)
    assert shape.output(GIVEN, INFO) == Shape("vector", (32,))
    assert shape.work(GIVEN, INFO).forward == 2 * slots_of(INFO) * NUMBERS * 32
    with pytest.raises(ValueError, match="tokens of the game only"):
        shape.output(Shape("observations", (4,)), SpaceInfo((4,), "float32", (2,), 1))


def test_gradients_reach_the_layer_that_reads() -> None:
    module = memory()
    tokens = torch.from_numpy(sight((0, 0), {(0, 2): ("junction", None)})).view(1, 1, -1, 3)
    module.unroll(tokens, module.initial_state(1), torch.zeros(1, 1, dtype=torch.bool)).sum().backward()
    assert all(bool(parameter.grad.abs().sum() > 0) for parameter in module.parameters() if parameter.grad is not None)
    assert all(parameter.grad is not None for parameter in module.parameters())


SEEDS, STEPS, AGENTS = st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 4)


def random_walks(seed: int, steps: int, agents: int) -> tuple[Tensor, Tensor]:
    """Observations uint8 [steps, agents, tokens, 3] of walks at random among random things, and resets."""
    rng = np.random.default_rng(seed)
    kinds = [tag.removeprefix("type:") for tag in INFO.tags if tag.startswith("type:")]
    tokens = np.zeros((steps, agents, *INFO.observation_shape), np.uint8)
    for agent in range(agents):
        cells = rng.integers(-15, 16, (120, 2)).tolist()
        things = {(row, col): (str(rng.choice(kinds)), rng.choice([None, TEAM, OTHERS])) for row, col in cells}
        at = np.zeros(2, int)
        for step in range(steps):
            tokens[step, agent] = sight((int(at[0]), int(at[1])), things)
            at += rng.integers(-1, 2, 2)
    return torch.from_numpy(tokens), torch.from_numpy(rng.random((steps, agents)) < 0.2)


def check_steps(module: Memory, tokens: Tensor, resets: Tensor) -> None:
    """Unrolled it gives what it gives step by step, and leaves the states that it is given as they are."""
    agents = resets.shape[1]
    state = module.initial_state(agents)
    whole = module.unroll(tokens, state, resets)
    assert all(map(torch.equal, state, module.initial_state(agents))), "a state that was given has changed"
    for step in range(len(resets)):
        state = module.reset(state, resets[step])
        before = tuple(part.clone() for part in state)
        output, following = module.step(tokens[step], state)
        assert all(map(torch.equal, state, before)), "a state that was given has changed"
        torch.testing.assert_close(output, whole[step], rtol=0, atol=1e-5)
        state = following


def check_apart(module: Memory, tokens: Tensor, resets: Tensor) -> None:
    """Agents do not see each other's maps."""
    agents = resets.shape[1]
    together = module.unroll(tokens, module.initial_state(agents), resets)
    for agent in range(agents):
        rows = slice(agent, agent + 1)
        alone = module.unroll(tokens[:, rows], module.initial_state(1), resets[:, rows])
        torch.testing.assert_close(alone, together[:, rows], rtol=0, atol=1e-5)


@given(SEEDS, STEPS, AGENTS, st.sampled_from([64, 128]))
@settings(max_examples=25)
def test_unrolled_it_gives_what_it_gives_step_by_step(seed: int, steps: int, agents: int, side: int) -> None:
    check_steps(memory(side=side), *random_walks(seed, steps, agents))


def test_told_as_they_are_its_numbers_are_those_that_a_layer_would_read() -> None:
    module = MapMemorySettings(width=None).build(GIVEN, INFO)
    assert isinstance(module, MapMemory) and not module.state_dict()
    tokens, resets = random_walks(1, 6, 2)
    check_steps(module, tokens, resets)
    found, _ = module.look(tokens, module.initial_state(2), resets)
    assert torch.equal(module.unroll(tokens, module.initial_state(2), resets), found.flatten(2))


@given(SEEDS, STEPS, AGENTS)
@settings(max_examples=10)
def test_agents_do_not_see_each_others_maps(seed: int, steps: int, agents: int) -> None:
    check_apart(memory(), *random_walks(seed, steps, agents))


def test_it_says_what_it_cannot_be_drawn_from():
    info = env_info(Mission())
    component, seen = MapMemorySettings(), Shape("observations", (200, 3))
    without = replace(info, features=tuple(feature for feature in info.features if feature.name != "lp:east"))
    with pytest.raises(ValueError, match="features that are not there: lp:east"):
        component.output(seen, without)
    with pytest.raises(ValueError, match="kinds of things are more"):
        component.output(seen, replace(info, tags=(*info.tags, *(f"type:{number}" for number in range(90)))))
