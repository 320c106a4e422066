"""What can be known of the CUDA backend without a device: it compiles for one, and its simulation plays right."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from metta.common.errors import UserError
from metta.game.engine.backends import make_batch
from metta.game.engine.batch import EnvBatch
from metta.game.maps.pool import build_pool
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
nvjitlink = pytest.importorskip("cuda.bindings.nvjitlink", reason="the CUDA toolkit's linker is not installed")
import numba  # noqa: E402
from numba import cuda  # noqa: E402

from metta.game.engine import cuda as kernels  # noqa: E402

ROOT = Path(__file__).parents[2]
HOPPER = (9, 0)


@pytest.fixture(scope="module")
def batch() -> EnvBatch:
    mission = build_mission(MissionSettings())
    return EnvBatch(mission, 1, maps=build_pool(mission, 1, 0))


@pytest.fixture(scope="module")
def ptx(batch: EnvBatch) -> dict[str, str]:
    """Assembly of every kernel by name, compiled with the types that a batch has."""

    def array(*dtypes: type) -> list[np.ndarray]:
        return [np.zeros(1, dtype) for dtype in dtypes]

    tables, state = batch._tables, batch._flat
    buffers = kernels.Buffers(*array(np.int32, np.uint8, np.float32, np.bool_, np.bool_))
    log = kernels.Log(*array(np.int64, np.int32, np.int64, np.int32, np.int32, np.int32, np.float32))
    frames = kernels.Frames(*array(np.uint8))
    arguments = {
        kernels.act_step: (tables, state, buffers, log),
        kernels.live_step: (tables, state),
        kernels.observe_step: (tables, state, buffers),
        kernels.end_step: (tables, state, buffers, log),
        kernels.record_episodes: (state, log),
        kernels.renew_episodes: (tables, state, frames, log, state, frames, *array(np.uint64), True, True),
        kernels.place_starts: (state, frames, state, frames, *array(np.int64)),
    }
    code = {}
    with pytest.MonkeyPatch.context() as patch:  # numba asks the driver for the device to compile functions for
        device = SimpleNamespace(compute_capability=HOPPER)
        patch.setattr("numba.cuda.dispatcher.get_current_device", lambda: device)
        for kernel, values in arguments.items():
            types = tuple(map(numba.typeof, values))
            bounds = kernel.targetoptions.get("launch_bounds")
            name = kernel.py_func.__name__
            code[name], _ = cuda.compile(
                kernel.py_func, types, device=False, abi="numba", cc=HOPPER, output="ptx", launch_bounds=bounds
            )
    return code


def test_every_kernel_is_one_piece_without_local_memory(ptx: dict[str, str]) -> None:
    for name, text in ptx.items():
        assert ".local" not in text, f"{name} keeps an array in local memory"
        assert "call.uni" not in text, f"{name} calls a function that was not inlined"


def test_no_product_can_be_fused_with_a_sum(ptx: dict[str, str]) -> None:
    """A fused product is rounded once instead of twice: rewards would differ from the processor's."""
    for name, text in ptx.items():
        assert "fma.rn.f32" not in text, name
        products = set(re.findall(r"mul\.f32\s+(%f\d+)", text))
        pairs = re.findall(r"(?:add|sub)\.f32\s+%f\d+, (%f\d+), (%f\d+)", text)
        assert not products & {summand for pair in pairs for summand in pair}, name


def test_no_kernel_spills_registers(ptx: dict[str, str]) -> None:
    for name, text in ptx.items():
        report = link(name, text)
        assert "0 stack" in report and "0 bytes lmem" in report, f"{name}: {report}"


def link(name: str, text: str) -> str:
    """What the linker says about the machine code of a kernel: registers, stack, local memory."""
    handle = nvjitlink.create(2, ["-arch=sm_90", "-verbose"])
    code = text.encode()
    nvjitlink.add_data(handle, nvjitlink.InputType.PTX, code, len(code), name)
    nvjitlink.complete(handle)
    report = bytearray(nvjitlink.get_info_log_size(handle))
    nvjitlink.get_info_log(handle, report)
    nvjitlink.destroy(handle)
    return report.decode().strip("\0\n").rpartition("info")[2]


def test_the_simulated_device_equals_the_processor() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/game/test_cuda_parity.py", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "skipped" not in done.stdout, done.stdout + done.stderr


@pytest.mark.skipif(cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_one_line_says_so(batch: EnvBatch) -> None:
    with pytest.raises(UserError, match="no CUDA device"):
        make_batch("cuda", batch.mission, 1, maps=batch.map(0)[None])
