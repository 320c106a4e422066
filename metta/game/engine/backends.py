"""Where environments run: on the processor or on a CUDA device."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from metta.common.errors import UserError
from metta.common.seeds import Seed
from metta.game.engine.batch import Batch, EnvBatch
from metta.game.maps.renewal import MapRenewal
from metta.game.mission import Mission

Backend = Literal["cpu", "cuda"]


def make_batch(
    backend: Backend,
    mission: Mission,
    num_envs: int,
    *,
    maps: np.ndarray,
    seed: Seed = 0,
    threads: int = 1,
    auto_reset: bool = True,
    desync: bool = False,
    renewal: MapRenewal | None = None,
    first: int = 0,
    stream: Callable[[], int] | None = None,
) -> Batch:
    """Environments of one mission, of one seed for all or one for each, from number `first` on (see `Batch`); `threads`
    is for the processor alone. With `stream` (see `CudaEnvBatch`) the buffers of a device lie there too, without it on
    the host.

    Raises:
        UserError: the maps do not fit the mission, or the device or its compiler is missing.
    """
    options: dict[str, Any] = {
        "maps": maps,
        "seed": seed,
        "auto_reset": auto_reset,
        "desync": desync,
        "renewal": renewal,
        "first": first,
    }
    if backend == "cpu":
        return EnvBatch(mission, num_envs, **options, threads=threads)
    if find_spec("numba_cuda") is None:
        raise UserError("backend=cuda needs the package numba-cuda: pip install 'metta[cuda]'")
    from metta.game.engine.cuda_batch import CudaEnvBatch, HostCudaBatch

    if stream is None:
        return HostCudaBatch(mission, num_envs, **options)
    return CudaEnvBatch(mission, num_envs, **options, stream=stream)
