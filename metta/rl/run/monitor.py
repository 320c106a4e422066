"""What a run takes of the machine."""

from collections.abc import Iterable
from typing import Any

import psutil
import torch
from torch import Tensor

from metta.rl.build import Parts
from metta.rl.run.metrics import Metrics


class MachineMonitor:
    """Load and memory of this process and its device, and what the trainer's parts hold of it."""

    def __init__(self, parts: Parts) -> None:
        self._process, self._parts = psutil.Process(), parts
        self._process.cpu_percent()

    def read(self) -> Metrics:
        metrics = {
            "monitor/cpu_percent": self._process.cpu_percent(),
            "monitor/memory_gb": self._process.memory_info().rss / 1e9,
        }
        if self._parts.device.type == "cuda":
            metrics["monitor/gpu_memory_gb"] = torch.cuda.max_memory_allocated(self._parts.device) / 1e9
        held = {
            "policy": self._parts.net.state_dict(),
            "optimizer": list(self._parts.optimizer.state.values()),
            "experience": vars(self._parts.rollout.experience),
        }
        return metrics | {f"trainer_memory/{name}_mb": _bytes(part) / 1e6 for name, part in held.items()}


def _bytes(part: Any) -> int:
    """Bytes of the tensors in a structure of dictionaries and sequences."""
    if isinstance(part, Tensor):
        return part.numel() * part.element_size()
    if isinstance(part, dict):
        return _bytes(part.values())
    return sum(map(_bytes, part)) if isinstance(part, Iterable) and not isinstance(part, str) else 0
