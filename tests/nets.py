"""Nets for tests."""

from collections.abc import Mapping
from typing import Any

from metta.policy.interface import Info, NetHeads
from metta.policy.nets.agent import AgentSettings
from metta.policy.nets.net import ComponentNet


def build_net(name: str, settings: Mapping[str, Any], info: Info, heads: NetHeads = NetHeads()) -> ComponentNet:  # noqa: B008
    """The net of a preset with some of its knobs turned, and fresh weights."""
    return ComponentNet(info, AgentSettings(name=name, **settings).components, heads, name)
