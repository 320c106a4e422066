"""What a benchmark ran on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch


def cpu_name() -> str:
    """Model name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def machine() -> dict[str, str | int]:
    """Hardware and versions, for the benchmark's JSON."""
    versions = {name: version(name) for name in ("numpy", "numba", "torch")}
    if torch.cuda.is_available():
        versions |= {"gpu": torch.cuda.get_device_name(), "cuda": str(torch.version.cuda)}
    return {"cpu": cpu_name(), "cores": os.cpu_count() or 1, "python": platform.python_version(), **versions}
