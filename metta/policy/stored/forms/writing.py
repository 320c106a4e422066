"""safetensors files, written and hashed straight from the tensors' memory.

Nothing is copied, and neither writing nor hashing holds the interpreter: a thread can do it while training goes on.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

# As safetensors calls them.
TYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint64: "U64", torch.uint32: "U32",
    torch.uint16: "U16", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def on_host(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors contiguous in the memory of the host, themselves where they are so already."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def serialized(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """The bytes of a safetensors file, part by part: its header, then each tensor where it lies, contiguous on the
    host. The largest types come first, so that each is aligned."""
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header, end = {}, 0
    for name in names:
        tensor = tensors[name]
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        yield as_bytes(tensors[name]).numpy().data


def as_bytes(tensor: Tensor) -> Tensor:
    """The memory of a contiguous tensor, uint8 [bytes]."""
    return tensor.reshape(-1).view(torch.uint8)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write tensors that are contiguous on the host as a safetensors file; returns its SHA-256 in hex."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for part in serialized(tensors):
            digest.update(part)
            file.write(part)
    return digest.hexdigest()
