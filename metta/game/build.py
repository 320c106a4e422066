"""From a mission to environments that can be stepped: the one path of the trainer and of every adapter."""

from collections.abc import Callable

from metta.common.seeds import derive
from metta.game.engine.backends import make_batch
from metta.game.engine.batch import Batch, EnvBatch
from metta.game.maps.pool import build_pool
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
) -> EnvBatch:
    """`num_envs` environments on a pool of `map_pool` fresh maps; maps and all else random follow from `seed`."""
    maps = build_pool(mission, map_pool, derive(seed, "maps") >> 1, threads)
    stream = episode_seed(seed)
    return EnvBatch(mission, num_envs, maps=maps, seed=stream, threads=threads, auto_reset=auto_reset, desync=desync)


def build_device_batch(
    mission: Mission,
    num_envs: int,
    *,
    seed: int,
    map_pool: int,
    threads: int = 1,
    desync: bool = False,
    stream: Callable[[], int],
) -> Batch:
    """The same environments on a CUDA device, with work queued on `stream()` (`CudaEnvBatch`)."""
    maps = build_pool(mission, map_pool, derive(seed, "maps") >> 1, threads)
    return make_batch("cuda", mission, num_envs, maps=maps, seed=episode_seed(seed), desync=desync, stream=stream)


def episode_seed(seed: int) -> int:
    """What the environments of a batch draw from, as `EnvBatch` takes it."""
    return derive(seed, "environments")
