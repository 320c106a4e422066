"""New maps take the place of those that were played."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from metta.game.build import build_batch
from metta.game.engine.batch import EnvBatch
from metta.game.maps.pool import build_pool
from metta.game.maps.renewal import Gather, MapRenewal, alone
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission

MISSION = build_mission(MissionSettings(name="cogsguard_tutorial.tutorial", max_steps=5))
SEED, POOL = 17, 6


def renewal() -> tuple[MapRenewal, np.ndarray]:
    maps = build_pool(MISSION, POOL, SEED)
    return MapRenewal(MISSION, SEED, maps), maps


def test_maps_are_replaced_in_turn_but_those_in_use() -> None:
    fresh, maps = renewal()
    assert fresh.renew(maps, np.array([1]), 3) == [0, 2, 3]
    assert fresh.renew(maps, np.array([0, 2]), 2) == [4, 5]
    assert fresh.renew(maps, np.array([0, 2]), 99) == [1, 3, 4, 5]
    assert fresh.renew(maps, np.arange(POOL), 1) == []


def test_a_new_map_is_that_of_the_next_seed() -> None:
    fresh, maps = renewal()
    fresh.renew(maps, np.array([], np.int64), POOL)
    assert fresh.numbers.min() >= POOL
    assert (np.diff(fresh.numbers) > 0).all()
    for index, number in enumerate(fresh.numbers.tolist()):
        assert np.array_equal(maps[index], build_pool(MISSION, 1, SEED + number)[0])


def test_a_continued_renewal_has_the_same_pool_and_draws_the_same_maps() -> None:
    fresh, maps = renewal()
    fresh.renew(maps, np.array([2]), 4)
    again, others = renewal()
    again.load_state_dict(fresh.state_dict(), others)
    assert np.array_equal(maps, others)
    for pool, one in ((maps, fresh), (others, again)):
        one.renew(pool, np.array([0]), 100)
    assert np.array_equal(maps, others)


def play(batch: EnvBatch, steps: int, start: bool = True) -> list[np.ndarray]:
    """Initial maps of the environments after each step."""
    shape = (batch.num_envs, batch.num_agents)
    observations = np.zeros((*shape, 200, 3), np.uint8)
    actions, rewards = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    terminals, truncations = np.zeros(shape, bool), np.zeros(shape, bool)
    if start:
        batch.reset(observations)
    seen = []
    for _ in range(steps):
        batch.step(actions, observations, rewards, terminals, truncations)
        batch.take_episodes()
        seen.append(np.stack([batch.map(e) for e in range(batch.num_envs)]))
    return seen


def batch_of(fresh_maps: bool, envs: int = 2, first: int = 0, gather: Gather = alone) -> EnvBatch:
    return build_batch(MISSION, envs, seed=3, map_pool=4, fresh_maps=fresh_maps, first=first, gather=gather)


@pytest.mark.parametrize(("fresh_maps", "most"), [(False, 4), (True, 1000)])
def test_episodes_see_ever_new_maps_where_asked(fresh_maps: bool, most: int) -> None:
    seen = play(batch_of(fresh_maps), 100)
    different = {grid.tobytes() for grids in seen for grid in grids}
    assert len(different) <= most
    assert fresh_maps == (len(different) > 15)


def test_environments_go_on_where_they_stopped_with_fresh_maps() -> None:
    whole, first, second = batch_of(True), batch_of(True), batch_of(True)
    expected = play(whole, 60)
    play(first, 33)
    second.load_state_dict(first.state_dict())
    assert np.array_equal(play(second, 27, start=False), expected[33:])


class Table:
    """Threads lay down what they have and take what all have."""

    def __init__(self, places: int) -> None:
        self._barrier, self._parts = Barrier(places, timeout=60), [np.zeros(0)] * places

    def place(self, number: int) -> Gather:
        def gather(part: np.ndarray) -> np.ndarray:
            self._parts[number] = part
            self._barrier.wait()
            every = np.concatenate(self._parts)
            self._barrier.wait()
            return every

        return gather


@pytest.mark.parametrize("ranks", [2, 3])
def test_batches_of_one_run_renew_their_pools_alike_and_as_one_batch_would(ranks: int) -> None:
    table, share = Table(ranks), 6 // ranks
    batches = [batch_of(True, share, rank * share, table.place(rank)) for rank in range(ranks)]
    with ThreadPoolExecutor(ranks) as threads:
        films = list(threads.map(lambda batch: play(batch, 40), batches))
    whole = play(batch_of(True, 6), 40)
    assert np.array_equal(np.concatenate(films, axis=1), whole)
    assert len({grid.tobytes() for grids in whole for grid in grids}) > 8
