"""Weights from a file's bytes, whatever their form: by content, not by name."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from metta.policy.stored.forms.torch_file import load_torch
from metta.policy.stored.sources.archive import MAGIC as ZIP
from metta.policy.stored.sources.place import MOST_BYTES, BrokenBundleError

# Where training scripts put the weights in what they save.
KEYS = ("model", "policy", "model_state_dict", "policy_state_dict", "state_dict")
WRAPPERS = ("module.", "_orig_mod.", "policy.", "model.", "net.")  # of DDP, torch.compile and classes around a net
MOST_HEADER = 100 << 20  # as safetensors itself
MOST_TENSORS = 2_000
BESIDE = (Tensor, int, float, str, np.generic, np.ndarray, type(None))
SHOWN = 8  # keys in a message


@dataclass(frozen=True)
class Weights:
    """Tensors by parameter name, float32, and the module that the file held whole, if it did."""

    tensors: dict[str, Tensor]
    module: nn.Module | None = None


def read_weights(data: bytes, origin: str, trust_pickle: bool = False) -> Weights:
    """Weights of any form: safetensors, or what torch.save wrote.

    Raise BrokenBundleError, or UserError for a file that must be trusted first.
    """
    if data[:4] == ZIP or data[:1] == b"\x80":
        return _from_object(load_torch(data, origin, trust_pickle), origin)
    header = int.from_bytes(data[:8], "little")
    if len(data) < 10 or data[8:9] != b"{":
        raise BrokenBundleError(f"{origin}: neither safetensors, a torch file nor a zip of a policy")
    if header > min(MOST_HEADER, len(data) - 8):
        raise BrokenBundleError(f"{origin}: cut short or damaged: a header of {header:,} bytes is announced")
    try:
        return Weights(_checked(load_safetensors(data), origin))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BrokenBundleError(f"{origin}: cut short or damaged ({error})") from None


def _from_object(content: Any, origin: str) -> Weights:
    """The weights within the content of a torch file: a module, a state dict, or a dict that holds one."""
    found = content
    if isinstance(content, dict) and not _is_state(content):
        held = (content[key] for key in KEYS if key in content)
        found = next((part for part in held if isinstance(part, nn.Module) or _is_state(part)), content)
    if isinstance(found, nn.Module):
        return Weights(_checked(_state_of(found, origin), origin), found)
    if not _is_state(found):
        raise BrokenBundleError(f"{origin}: holds no weights{_found_instead(content)}")
    return Weights(_checked({name: value for name, value in found.items() if isinstance(value, Tensor)}, origin))


def _found_instead(content: Any) -> str:
    """What is there in place of weights, and why it is none."""
    if not isinstance(content, dict):
        return f" but a {type(content).__name__}"
    if key := next((key for key in KEYS if key in content), None):
        return f": {key!r} is no module and no dict of tensors, but {_described(content[key])}"
    known, found = (", ".join(repr(key) for key in keys[:SHOWN]) for keys in (KEYS, [*content]))
    return f": of {known} there is none, but {found or 'nothing'}"


def _described(value: Any) -> str:
    if not isinstance(value, dict):
        return f"a {type(value).__name__}"
    others = [f"{key!r}: {type(part).__name__}" for key, part in value.items() if not isinstance(part, Tensor)]
    return f"a dict of {', '.join(others[:SHOWN]) or 'nothing'}"


def _state_of(module: nn.Module, origin: str) -> dict[str, Tensor]:
    try:
        return module.state_dict()
    except Exception as error:  # whatever a stranger's class does
        raise BrokenBundleError(f"{origin}: the module gives no state ({error})") from None


def _is_state(content: Any) -> bool:
    """Whether that is a dict of tensors; plain numbers and text may stand beside them."""
    values = content.values() if isinstance(content, dict) else ()
    return any(isinstance(value, Tensor) for value in values) and all(isinstance(value, BESIDE) for value in values)


def _checked(state: dict[Any, Tensor], origin: str) -> dict[str, Tensor]:
    """The tensors as dense float32 on the CPU, under the names that the net itself gives them."""
    if not state:
        raise BrokenBundleError(f"{origin}: holds no weights")
    if len(state) > MOST_TENSORS:
        raise BrokenBundleError(f"{origin}: {len(state):,} tensors, more than {MOST_TENSORS:,}")
    names = [str(name) for name in state]
    while wrapper := next((text for text in WRAPPERS if all(name.startswith(text) for name in names)), ""):
        names = [name.removeprefix(wrapper) for name in names]
    if sum(tensor.numel() for tensor in state.values()) * 4 > MOST_BYTES:  # before a view becomes a copy
        raise BrokenBundleError(f"{origin}: weights larger than {MOST_BYTES:,} bytes")
    return {name: _plain(tensor, f"{origin}: {name}") for name, tensor in zip(names, state.values(), strict=True)}


def _plain(tensor: Tensor, where: str) -> Tensor:
    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        raise BrokenBundleError(f"{where} is no plain tensor")
    if not tensor.is_floating_point():
        raise BrokenBundleError(f"{where} holds {tensor.dtype}, not floating-point numbers".replace("torch.", ""))
    plain = tensor.detach().to(torch.float32).contiguous()
    if not plain.isfinite().all():
        raise BrokenBundleError(f"{where} holds infinities or NaN")
    return plain
