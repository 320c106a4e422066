"""Nets by name."""

import inspect
from typing import Any

from metta.common.errors import UserError, suggest
from metta.game.observation import EnvInfo
from metta.policy.interface import Info, NetHeads, PolicyNet
from metta.policy.nets.lstm import LstmNet
from metta.policy.nets.mlp import MlpNet
from metta.policy.nets.names import ALIASES
from metta.policy.nets.tutorial import TutorialNet

NETS: dict[str, type[PolicyNet]] = {net.name: net for net in (LstmNet, MlpNet, TutorialNet)}


def net_names() -> list[str]:
    """All names under which a net can be asked for."""
    return sorted([*NETS, *ALIASES])


def check_net(name: str, info: Info) -> None:
    """Raise UserError for a net that there is not, or that cannot read such observations."""
    net_options(name)
    if not isinstance(info, EnvInfo) and not NETS[ALIASES.get(name, name)].any_space:
        able = ", ".join(sorted(net.name for net in NETS.values() if net.any_space))
        problem = f"reads the tokens of the game only; other environments need agent={able}"
        raise UserError(f"agent.name={name}: {problem}", ["agent.name"])


def net_options(name: str) -> dict[str, Any]:
    """Settings that the net of that name takes, with their defaults."""
    net = NETS.get(ALIASES.get(name, name))
    if net is None:
        problem = f"unknown net{suggest(name, net_names())}; known: {', '.join(net_names())}"
        raise UserError(f"agent.name={name}: {problem}", ["agent.name"])
    parameters = inspect.signature(net).parameters
    return {key: parameter.default for key, parameter in parameters.items() if key not in ("info", "heads")}


def build_net(name: str, settings: dict[str, Any], info: Info, heads: NetHeads = NetHeads()) -> PolicyNet:  # noqa: B008
    """Build a net with fresh weights. Raise UserError for an unknown name or setting, or an `info` not for it."""
    check_net(name, info)
    options = net_options(name)
    for key in settings:
        if key not in options:
            known = ", ".join(options)
            problem = f"{name} has no such setting{suggest(key, options)}; it takes {known}"
            raise UserError(f"agent.{key}: {problem}", [f"agent.{key}"])
    return NETS[ALIASES.get(name, name)](info, heads=heads, **settings)
