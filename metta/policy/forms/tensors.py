"""Weights from a file's bytes, whatever their form: by content, not by name."""

from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from metta.policy.forms.torch_file import load_torch
from metta.policy.interface import PolicyNet
from metta.policy.sources.archive import MAGIC as ZIP
from metta.policy.sources.place import MOST_BYTES, BrokenBundleError

# Where training scripts put the weights in what they save.
KEYS = ("model", "policy", "model_state_dict", "policy_state_dict", "state_dict")
WRAPPERS = ("module.", "_orig_mod.", "policy.", "model.", "net.")  # of DDP, torch.compile and classes around a net
MOST_HEADER = 100 << 20  # as safetensors itself
MOST_TENSORS = 2_000


@dataclass(frozen=True)
class Weights:
    """Tensors by parameter name, float32; `net` if the file held one of ours whole."""

    tensors: dict[str, Tensor]
    net: PolicyNet | None = None


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
    if isinstance(content, dict) and not _is_state(content):
        keys = [key for key in KEYS if isinstance(content.get(key), nn.Module) or _is_state(content.get(key))]
        if not keys:
            found = ", ".join(repr(key) for key in list(content)[:8]) or "nothing"
            known = ", ".join(repr(key) for key in KEYS)
            raise BrokenBundleError(f"{origin}: holds no weights: of {known} there is none, but {found}")
        content = content[keys[0]]
    if isinstance(content, nn.Module):
        net = content if isinstance(content, PolicyNet) else None
        return Weights(_checked(_state_of(content, origin), origin), net)
    if not _is_state(content):
        raise BrokenBundleError(f"{origin}: holds no weights but a {type(content).__name__}")
    return Weights(_checked(content, origin))


def _state_of(module: nn.Module, origin: str) -> dict[str, Tensor]:
    try:
        return module.state_dict()
    except Exception as error:  # whatever a stranger's class does
        raise BrokenBundleError(f"{origin}: the module gives no state ({error})") from None


def _is_state(content: Any) -> bool:
    return isinstance(content, dict) and bool(content) and all(isinstance(value, Tensor) for value in content.values())


def _checked(state: dict[Any, Tensor], origin: str) -> dict[str, Tensor]:
    """The tensors as dense float32 on the CPU, under the names that the net itself gives them."""
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
