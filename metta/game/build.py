"""From a mission to environments that can be stepped: the one path of the trainer and of every adapter."""

from collections.abc import Callable

import numpy as np

from metta.common.seeds import derive
from metta.game.engine.backends import make_batch
from metta.game.engine.batch import Batch, EnvBatch
from metta.game.maps.drawn import check_maps
from metta.game.maps.pool import build_pool
from metta.game.maps.renewal import Gather, MapRenewal, alone
from metta.game.mission import Mission


def build_batch(
    mission: Mission,
    num_envs: int,
    *,
    seed: int,
    map_pool: int,
    threads: int = 1,
    auto_reset: bool = True,
    desync: bool = False,
    fresh_maps: bool = False,
    first: int = 0,
    gather: Gather = alone,
) -> EnvBatch:
    """`num_envs` environments on a pool of `map_pool` maps; maps and all else random follow from `seed`.

    With `fresh_maps`, new maps take the place of those that were played. Of a run whose environments are divided among
    processes this has those from number `first` on; `gather` is that of `MapRenewal`.
    """
    maps, renewal = _pool(mission, map_pool, seed, threads, fresh_maps, gather)
    return EnvBatch(
        mission,
        num_envs,
        maps=maps,
        seed=episode_seed(seed),
        threads=threads,
        auto_reset=auto_reset,
        desync=desync,
        renewal=renewal,
        first=first,
    )


def check_room(mission: Mission, seed: int) -> None:
    """Raise UserError where the first map that `build_batch` would draw from that seed has not what the mission needs,
    as pads for all its cogs."""
    check_maps(mission, _pool(mission, 1, seed, 1, False, alone)[0])


def build_device_batch(
    mission: Mission,
    num_envs: int,
    *,
    seed: int,
    map_pool: int,
    threads: int = 1,
    desync: bool = False,
    fresh_maps: bool = False,
    first: int = 0,
    gather: Gather = alone,
    stream: Callable[[], int],
) -> Batch:
    """The same environments on a CUDA device, with work queued on `stream()` (`CudaEnvBatch`)."""
    maps, renewal = _pool(mission, map_pool, seed, threads, fresh_maps, gather)
    return make_batch(
        "cuda",
        mission,
        num_envs,
        maps=maps,
        seed=episode_seed(seed),
        desync=desync,
        renewal=renewal,
        first=first,
        stream=stream,
    )


def _pool(
    mission: Mission, size: int, seed: int, threads: int, fresh_maps: bool, gather: Gather
) -> tuple[np.ndarray, MapRenewal | None]:
    """The maps that are played on first, uint8 [size, H, W], and what brings others."""
    first = derive(seed, "maps") >> 1
    maps = build_pool(mission, size, first, threads)
    return maps, MapRenewal(mission, first, maps, gather) if fresh_maps and mission.map.seed is None else None


def episode_seed(seed: int) -> int:
    """What the environments of a batch draw from, as `EnvBatch` takes it."""
    return derive(seed, "environments")
