"""What versions before this one built, as lists of components: a net's name and a few settings stood for all of it.

Bundles of format 1 and weights without a spec are read by it. These lists never change; configs/agent may.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from metta.common.errors import suggest
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.components.registry import parse_components

HEADS = {"action_head": {"kind": "actor_head"}, "value_head": {"kind": "critic"}, "aux_head": {"kind": "gtd_aux"}}
CLASSES = {"TutorialNet": "tutorial", "LstmNet": "lstm", "MlpNet": "mlp"}
ALIASES = {"fast": "tutorial"}
Shapes = Mapping[str, tuple[int, ...]]
Components = dict[str, ComponentSettings]


def _tutorial(hidden_size: int = 512, channels: Any = (64, 128), inputs: str = "scaled") -> dict[str, Any]:
    layer = {"kind": "linear", "size": hidden_size, "activation": "relu", "weights": "uniform"}
    return {
        "cnn": {"channels": list(channels), "inputs": inputs},
        "cnn_fc": {**layer, "input": "cnn", "half": "lower"},
        "self_encoder": {**layer, "input": "cnn.center", "half": "upper"},
        "rnn": {"kind": "lstm", "input": ["cnn_fc", "self_encoder"], "size": hidden_size},
        **HEADS,
    }


def _lstm(hidden_size: int = 128) -> dict[str, Any]:
    return {"net": {"kind": "token_mlp", "hidden": hidden_size}, "rnn": {"kind": "lstm", "size": hidden_size}, **HEADS}


def _mlp(hidden_size: int = 64, layers: int = 2, memory: bool = False) -> dict[str, Any]:
    return {
        "layers": {"kind": "mlp", "hidden": hidden_size, "layers": layers, "activation": "tanh"},
        "rnn": {"kind": "lstm", "size": hidden_size, "enabled": memory},
        **HEADS,
    }


NETS: dict[str, Callable[..., dict[str, Any]]] = {"lstm": _lstm, "mlp": _mlp, "tutorial": _tutorial}


def components_of(net: str, settings: Mapping[str, Any]) -> Components:
    """The list of the net of that name. Raise ValueError for settings that it never had."""
    known = inspect.signature(NETS[net]).parameters
    for key in settings:
        if key not in known:
            raise ValueError(f"{net} has no setting {key}{suggest(key, known)}")
    return parse_components(NETS[net](**settings))


def known_as(components: Mapping[str, ComponentSettings]) -> tuple[str, dict[str, Any]] | None:
    """Name and settings under which earlier versions built the same list; None for one that they could not build."""
    parts = {name: part.model_dump() for name, part in components.items()}
    core = parts.get("rnn", {})
    found: tuple[str, dict[str, Any]]
    if cnn := parts.get("cnn"):
        wanted = {"hidden_size": core.get("size"), "channels": cnn.get("channels"), "inputs": cnn.get("inputs")}
        found = "tutorial", wanted
    elif layers := parts.get("layers"):
        wanted = {"hidden_size": layers.get("hidden"), "layers": layers.get("layers"), "memory": core.get("enabled")}
        found = "mlp", wanted
    else:
        found = "lstm", {"hidden_size": core.get("size")}
    try:
        same = {name: part.model_dump() for name, part in components_of(*found).items()} == parts
    except ValueError:
        return None
    return found if same else None


def settings_of(net: str, shapes: Shapes) -> dict[str, Any] | None:
    """Settings of the net of that name whose parameters have these shapes; None if they are not of its kind."""
    match net:
        case "lstm":
            first = shapes.get("_net.0.weight")
            return {"hidden_size": first[0]} if first else None
        case "tutorial":
            names = ("_cnn.0.weight", "_cnn.2.weight", "_rnn.weight_hh_l0")
            near, far, memory = (shapes.get(name) for name in names)
            if not (near and far and memory):
                return None
            return {"hidden_size": memory[-1], "channels": [near[0], far[0]], "inputs": "scaled"}
    layers = [shape for name, shape in shapes.items() if name.startswith("_layers.") and name.endswith(".weight")]
    if not all(layers) or not layers:
        return None
    return {"hidden_size": layers[0][0], "layers": len(layers), "memory": "_rnn.weight_ih_l0" in shapes}
