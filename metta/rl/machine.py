"""What a job takes of the machine: device, threads, memory."""

import ctypes
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from metta.common.errors import UserError
from metta.common.ranks import available_cores
from metta.policy.machine_settings import MachineSettings
from metta.rl.run.settings import SystemSettings

OUT_OF_MEMORY = re.compile("can't allocate memory|Storage size calculation overflowed")  # of torch on the processor
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` takes CUDA, then MPS, then the CPU. Raise UserError if it is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "mps" if there["mps"] else "cpu")
    if not there[name]:
        have = ", ".join(known for known, found in there.items() if found)
        raise UserError(f"system.device={name}: this machine (or this build of torch) has none; it has {have}")
    return torch.device(name)


def settled(settings: SystemSettings) -> SystemSettings:
    """The settings with what they leave to the machine said: so they repeat a run on another one."""
    threads = settings.threads or available_cores()
    return settings.model_copy(update={"device": choose_device(settings.device).type, "threads": threads})


def count_processes(settings: SystemSettings) -> int:
    """Processes that system.nproc asks for on this machine. Raise UserError where each cannot have a GPU of its own."""
    asked = settings.nproc
    if asked in (None, 1):
        return 1
    gpus = torch.cuda.device_count() if choose_device(settings.device).type == "cuda" else 0
    if asked == "gpu" and not gpus:
        raise UserError(f"system.nproc=gpu: there is none for system.device={settings.device}; auto is 1 process then")
    if isinstance(asked, str):
        return max(1, gpus)
    if 0 < gpus < asked:
        raise UserError(f"system.nproc={asked}: each process needs a GPU of its own, and this machine has {gpus}")
    return asked


def is_out_of_memory(error: Exception) -> bool:
    """Whether machine or device had not the memory that was asked for."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or bool(OUT_OF_MEMORY.search(str(error)))


@contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Raise UserError, which begins with `what`, where machine or device have not the memory that is asked for."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        needs = "the batch (trainer.batch_size), the network (agent) and the maps (training_env.map_pool)"
        raise UserError(f"{what}: not enough memory for {needs}: {str(error) or 'the system gives no more'}") from error


def set_up(settings: MachineSettings, threads: int | None = None) -> torch.device:
    """Apply the settings to this process and return the device. Where they say nothing else, torch has as many threads
    as given, or as there are cores; nets that play have one, as workers share the cores."""
    device = choose_device(settings.device)
    torch.set_num_threads(settings.threads or threads or available_cores())
    if device.type == "cpu":
        _keep_freed_memory()
    return device


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Torch works in one thread for each thread that calls it: for jobs that have threads of their own."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def torch_stream() -> int:
    """Handle of torch's stream of the moment. The engine queues its work there, so it comes in order with the
    policy's, and a CUDA graph that is being captured holds both."""
    return torch.cuda.current_stream().cuda_stream


def _keep_freed_memory() -> None:
    """Let the C library reuse big freed blocks: mapping them anew for every minibatch costs a fifth of the time."""
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # a C library without it
        return
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
