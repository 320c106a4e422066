"""What a policy is made of: a row for each component, with its size, its work and what it remembers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from metta.policy.interface import Info, NetHeads
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.net import ComponentNet


@dataclass(frozen=True)
class Row:
    """A component; floating-point operations are those of its matrix products by the plain formulas."""

    component: str
    kind: str
    reads: list[str]
    gives: str  # kind and shape of its output, without the axis of agents
    parameters: int
    forward_flops: int  # per agent-step
    trained_flops: int  # per agent-step: forward in the rollout, forward and backward in training
    state_bytes: int  # per agent


def describe(components: Mapping[str, ComponentSettings], info: Info, heads: NetHeads) -> list[Row]:
    """The components that are built, in the order in which they work. Raise UserError for no policy for `info`."""
    with torch.device("meta"):  # takes no memory
        net = ComponentNet(info, components, heads)
    rows = []
    for part in net.parts:
        work = part.settings.work(part.given, info)
        rows.append(
            Row(
                component=part.name,
                kind=part.settings.kind_name,
                reads=list(part.inputs),
                gives=str(part.output),
                parameters=sum(parameter.numel() for parameter in net.module(part.name).parameters()),
                forward_flops=work.forward,
                trained_flops=work.trained,
                state_bytes=net.state_bytes(part.name),
            )
        )
    return rows


def totals(rows: Sequence[Row]) -> dict[str, int]:
    """Sums over the components."""
    keys = ("parameters", "forward_flops", "trained_flops", "state_bytes")
    return {key: sum(getattr(row, key) for row in rows) for key in keys}


def document(name: str, rows: Sequence[Row], left_out: Sequence[str]) -> dict[str, Any]:
    """The same for programs."""
    listed = [asdict(row) for row in rows]
    return {"agent": name, "components": listed, "total": totals(rows), "left_out": list(left_out)}
