"""Which net weights belong to, told from their names and shapes."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from metta.game.mission import Mission
from metta.game.observation import EnvInfo, env_info
from metta.policy.interface import Info, NetHeads, PolicyNet
from metta.policy.nets.registry import NETS, build_net
from metta.policy.sources.place import BrokenBundleError

SHOWN = 6
_DRAWING = threading.Lock()  # torch's global generator is one for all threads
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Architecture:
    """All that a net is built from."""

    net: str
    settings: dict[str, Any]
    heads: NetHeads
    info: Info

    @classmethod
    def of(cls, net: PolicyNet) -> "Architecture":
        return cls(net.name, net.settings, net.heads, net.info)

    def build(self) -> PolicyNet:
        """The net, for weights to be put into: those that it has are taken from no generator that others draw from."""
        with _DRAWING, torch.random.fork_rng(devices=[]):
            return build_net(self.net, self.settings, self.info, self.heads)


def load_into(architecture: Architecture, tensors: Mapping[str, Tensor], origin: str) -> PolicyNet:
    """The net with these weights. Raise BrokenBundleError before memory is taken for a net that they do not fit."""
    if wrong := problems(architecture, shapes_of(tensors)):
        raise BrokenBundleError(f"{origin}: weights do not fit the net {architecture.net}: {_listed(wrong)}")
    net = architecture.build()
    net.load_state_dict(dict(tensors), strict=False)  # buffers that follow from the environment may be missing
    return net


def match(tensors: Mapping[str, Tensor], info: Info | None, origin: str) -> Architecture:
    """The net whose parameters have these names and shapes, for `info` (None: the game as it comes).

    Raise BrokenBundleError with what differs from the nearest.
    """
    shapes = shapes_of(tensors)
    heads = NetHeads(auxiliary="_aux_head.weight" in shapes)
    info = known_info(tensors, info)
    best: tuple[str, list[str]] | None = None
    for name, net in NETS.items():
        settings = net.settings_of(shapes)
        if settings is None or not (net.any_space or isinstance(info, EnvInfo)):
            continue
        architecture = Architecture(name, settings, heads, info)
        wrong = problems(architecture, shapes)
        if not wrong:
            return architecture
        if best is None or len(wrong) < len(best[1]):
            best = name, wrong
    if best is None:
        found = [f"{name} {_shown(shape)}" for name, shape in shapes.items()]
        raise BrokenBundleError(f"{origin}: weights of none of the nets {', '.join(NETS)}: {_listed(found)}")
    raise BrokenBundleError(f"{origin}: weights of no known net; nearest is {best[0]}, where {_listed(best[1])}")


def problems(architecture: Architecture, shapes: Shapes) -> list[str]:
    """What keeps weights of these shapes from being those of a net, one line each. The net takes no memory here."""
    try:
        with torch.device("meta"):
            net = architecture.build()
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        return [f"its settings are wrong ({' '.join(str(error).split())[:100]})"]
    expected = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    optional = {name for name, _ in net.named_buffers()}
    wrong = []
    for name in sorted({*expected, *shapes}):
        if name not in shapes:
            wrong += [] if name in optional else [f"{name} is missing"]
        elif name not in expected:
            wrong.append(f"{name} {_shown(shapes[name])} is unknown")
        elif shapes[name] != expected[name]:
            wrong.append(f"{name} is {_shown(shapes[name])}, not {_shown(expected[name])}")
    return wrong


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def known_info(tensors: Mapping[str, Tensor], info: Info | None) -> Info:
    """What weights without a spec are taken to know: `info` (None: the game as it comes), and of its actions as many
    as they tell apart: moves come first, then vibes."""
    info, head = info or env_info(Mission()), shapes_of(tensors).get("_action_head.weight")
    if not isinstance(info, EnvInfo) or not head:
        return info
    names = max(info.action_names, env_info(Mission()).action_names, key=len)
    return replace(info, action_names=names[: head[0]])


def _shown(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a number"


def _listed(lines: list[str]) -> str:
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more
