"""Nets by name."""

import inspect
from typing import Any

from metta.common.errors import UserError, suggest
from metta.game.observation import EnvInfo
from metta.policy.interface import NetHeads, PolicyNet
from metta.policy.nets.lstm import LstmNet
from metta.policy.nets.tutorial import TutorialNet

NETS: dict[str, type[PolicyNet]] = {net.name: net for net in (LstmNet, TutorialNet)}
ALIASES = {"fast": "tutorial"}


def net_names() -> list[str]:
    """All names under which a net can be asked for."""
    return sorted([*NETS, *ALIASES])


def net_options(name: str) -> dict[str, Any]:
    """Settings that the net of that name takes, with their defaults."""
    net = NETS.get(ALIASES.get(name, name))
    if net is None:
        raise UserError(f"agent.name={name}: unknown net{suggest(name, net_names())}; known: {', '.join(net_names())}")
    parameters = inspect.signature(net).parameters
    return {key: parameter.default for key, parameter in parameters.items() if key not in ("info", "heads")}


def build_net(name: str, settings: dict[str, Any], info: EnvInfo, heads: NetHeads = NetHeads()) -> PolicyNet:  # noqa: B008
    """Build a net with fresh weights. Raise UserError for an unknown name or setting."""
    options = net_options(name)
    for key in settings:
        if key not in options:
            known = ", ".join(options)
            raise UserError(f"agent.{key}: {name} has no such setting{suggest(key, options)}; it takes {known}")
    return NETS[ALIASES.get(name, name)](info, heads=heads, **settings)
