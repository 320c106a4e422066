"""Copies of a run's tensors that a thread can write while training changes the originals."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from metta.policy.stored.forms.writing import as_bytes

Groups = dict[str, dict[str, Tensor]]


class Stage:
    """Buffers on the host, allocated once and filled anew for each save; pinned for tensors from a GPU."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, str], Tensor] = {}
        self._stream: torch.cuda.Stream | None = None

    def copy(self, groups: Groups) -> tuple[Groups, Callable[[], None]]:
        """Copies of tensors, by group and name, contiguous on the host; and what waits until they are there.

        From a GPU they are made beside what is queued next, which does not change the originals before.
        """
        known, self._buffers = self._buffers, {}
        copies = {
            group: {name: self._buffer(known, group, name, tensor) for name, tensor in tensors.items()}
            for group, tensors in groups.items()
        }
        pairs = [(copies[group][name], tensor) for group, tensors in groups.items() for name, tensor in tensors.items()]
        wait = self._copy_from_gpu([pair for pair in pairs if pair[1].device.type == "cuda"])
        for copied, tensor in pairs:
            if tensor.device.type == "cpu":
                # numpy's copy, in this thread: torch's waits for all its threads, tensor by tensor.
                np.copyto(as_bytes(copied).numpy(), as_bytes(tensor.detach().contiguous()).numpy())
            elif tensor.device.type != "cuda":
                copied.copy_(tensor)
        return copies, wait

    def _buffer(self, known: Mapping[tuple[str, str], Tensor], group: str, name: str, tensor: Tensor) -> Tensor:
        buffer = known.get((group, name))
        if buffer is None or (buffer.shape, buffer.dtype) != (tensor.shape, tensor.dtype):
            buffer = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.device.type == "cuda")
        self._buffers[group, name] = buffer
        return buffer

    def _copy_from_gpu(self, pairs: list[tuple[Tensor, Tensor]]) -> Callable[[], None]:
        """Queue copies on a stream of their own, for which the present one waits."""
        if not pairs:
            return lambda: None
        device = pairs[0][1].device
        self._stream = self._stream or torch.cuda.Stream(device)
        training = torch.cuda.current_stream(device)
        self._stream.wait_stream(training)
        with torch.cuda.stream(self._stream):
            for copied, tensor in pairs:
                copied.copy_(tensor.detach(), non_blocking=True)
        done = self._stream.record_event()
        training.wait_event(done)
        return done.synchronize
