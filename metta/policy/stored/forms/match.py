"""Which net weights belong to, told from their names and shapes."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from metta.common.errors import UserError
from metta.game.mission import Mission
from metta.game.observation import EnvInfo, env_info
from metta.policy.interface import Info, NetHeads
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.earlier import NETS, components_of, known_as, settings_of
from metta.policy.nets.net import ComponentNet
from metta.policy.stored.forms.earlier_pickle import EarlierNet
from metta.policy.stored.sources.place import BrokenBundleError

SHOWN = 6
_DRAWING = threading.Lock()  # torch's global generator is one for all threads
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Architecture:
    """All that a net is built from."""

    name: str  # for people
    components: Mapping[str, ComponentSettings]
    heads: NetHeads
    info: Info

    @classmethod
    def of(cls, net: ComponentNet) -> "Architecture":
        return cls(net.name, net.components, net.heads, net.info)

    @classmethod
    def earlier(cls, net: str, settings: Mapping[str, Any], heads: NetHeads, info: Info) -> "Architecture":
        """What earlier versions meant by a net's name and settings. Raise ValueError for wrong ones."""
        return cls(net, components_of(net, settings), heads, info)

    @property
    def identity(self) -> list[Any]:
        """What tells its list of components from others, the same for one that earlier versions built as for them."""
        if known := known_as(self.components):
            return list(known)
        return ["components", {name: part.model_dump() for name, part in self.components.items()}]

    def build(self) -> ComponentNet:
        """The net, for weights to be put into: those that it has are taken from no generator that others draw from."""
        with _DRAWING, torch.random.fork_rng(devices=[]):
            return ComponentNet(self.info, self.components, self.heads, self.name)


def within(module: object) -> Architecture | None:
    """What a module that was saved whole is built from; None for one that is none of our nets."""
    if isinstance(module, ComponentNet):
        return Architecture.of(module)
    if isinstance(module, EarlierNet) and module.net:
        return Architecture.earlier(module.net, *(getattr(module, key) for key in ("settings", "heads", "info")))
    return None


def load_into(architecture: Architecture, tensors: Mapping[str, Tensor], origin: str) -> ComponentNet:
    """The net with these weights. Raise BrokenBundleError before memory is taken for a net that they do not fit."""
    if wrong := problems(architecture, shapes_of(tensors)):
        raise BrokenBundleError(f"{origin}: weights do not fit the net {architecture.name}: {_listed(wrong)}")
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
    for name in NETS:
        settings = settings_of(name, shapes)
        if settings is None:
            continue
        architecture = Architecture.earlier(name, settings, heads, info)
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
    except (TypeError, ValueError, RuntimeError, ArithmeticError, UserError) as error:
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
