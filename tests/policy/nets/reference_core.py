"""The recurrent core as one would write it in plain eager PyTorch: linear layers and a loop over time.

It has the weights of a `Cortex` and gives what that gives; kernels are tested and timed against it.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metta.policy.nets.interface import State
from metta.policy.nets.modules.blocks import Block, GatedBlock, GruGate, PostUpBlock, PreUpBlock
from metta.policy.nets.modules.cells import agalite
from metta.policy.nets.modules.cells.agalite import Agalite
from metta.policy.nets.modules.cells.attention import Attention
from metta.policy.nets.modules.cells.axon import Axon
from metta.policy.nets.modules.cells.base import Cell
from metta.policy.nets.modules.cells.conv import CausalConv
from metta.policy.nets.modules.cells.lstm import Lstm
from metta.policy.nets.modules.cells.mingru import MinGru
from metta.policy.nets.modules.cells.mlstm import Mlstm
from metta.policy.nets.modules.cells.slstm import LEAST, Slstm
from metta.policy.nets.modules.cortex import Column, Cortex


class ReferenceCore(nn.Module):
    def __init__(self, core: Cortex) -> None:
        super().__init__()
        self.core = core

    def unroll(self, x: Tensor, state: State, resets: Tensor) -> Tensor:
        """x [time, batch, width], state as the core's, resets bool [time, batch] -> [time, batch, width]."""
        x, begin = plain(self.core.enter, x), 0
        for column in self.core.columns:
            end = begin + len(column.state_shapes())
            x, begin = run_column(column, x, state[begin:end], resets), end
        x = plain(self.core.norm, x)
        return plain(self.core.leave, x)


def plain(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer without state, as torch's own."""
    if isinstance(layer, nn.Sequential):
        for part in layer:
            x = plain(part, x)
        return x
    return F.linear(x, layer.weight, layer.bias) if isinstance(layer, nn.Linear) else layer(x)


def run_column(column: Column, x: Tensor, state: State, resets: Tensor) -> Tensor:
    normal, outputs, begin = column.norm(x), [], 0
    for block in column.blocks:
        end = begin + len(block.cell.state_shapes())
        outputs.append(run_block(block, x, normal, state[begin:end], resets))
        begin = end
    if column.router is None:
        return outputs[0]
    weights = plain(column.router, normal).softmax(-1)
    return torch.einsum("tbk,ktbw->tbw", weights, torch.stack(outputs))


def run_block(block: Block, x: Tensor, normal: Tensor, state: State, resets: Tensor) -> Tensor:
    if isinstance(block, PreUpBlock):
        inner, gate = plain(block.up, normal).chunk(2, dim=-1)
        return x + plain(block.down, run_cell(block.cell, inner, state, resets) * F.silu(gate))
    output = run_cell(block.cell, normal, state, resets)
    y = gated(block.cell_gate, x, output) if isinstance(block, GatedBlock) else x + output
    if not isinstance(block, PostUpBlock):
        return y
    projected = plain(block.down, F.silu(plain(block.up, block.norm(y))))
    return gated(block.projection_gate, y, projected) if isinstance(block, GatedBlock) else y + projected


def gated(gate: GruGate, x: Tensor, update: Tensor) -> Tensor:
    seen, moved, target = plain(gate.of_update, update).chunk(3, dim=-1)
    more_seen, more_moved = plain(gate.of_x, x).chunk(2, dim=-1)
    target = torch.tanh(target + plain(gate.of_seen, torch.sigmoid(seen + more_seen) * x))
    moved = torch.sigmoid(moved + more_moved)
    return (1 - moved) * x + moved * target


def over_time(
    step: Callable[..., tuple[Tensor, State]], state: State, resets: Tensor, *given: Tensor
) -> tuple[Tensor, State]:
    """step(state, *given[t]) -> output and state, for each step."""
    outputs = []
    for ended, *now in zip(resets, *given, strict=True):
        state = tuple(part.masked_fill(ended.view(-1, *[1] * (part.dim() - 1)), 0) for part in state)
        output, state = step(state, *now)
        outputs.append(output)
    return torch.stack(outputs), state


def run_cell(cell: Cell, x: Tensor, state: State, resets: Tensor) -> Tensor:
    return CELLS[type(cell)](cell, x, state, resets)


def lstm(cell: Lstm, x: Tensor, state: State, resets: Tensor) -> Tensor:
    def step(state: State, given: Tensor) -> tuple[Tensor, State]:
        gates = given + F.linear(state[0], cell.weight_hh_l0, cell.bias_hh_l0)
        enter, keep, new, leave = gates.chunk(4, dim=-1)
        memory = torch.sigmoid(keep) * state[1] + torch.sigmoid(enter) * torch.tanh(new)
        output = torch.sigmoid(leave) * torch.tanh(memory)
        return output, (output, memory)

    return over_time(step, state, resets, F.linear(x, cell.weight_ih_l0, cell.bias_ih_l0))[0]


def mingru(cell: MinGru, x: Tensor, state: State, resets: Tensor) -> Tensor:
    def step(state: State, new: Tensor, gate: Tensor) -> tuple[Tensor, State]:
        candidate = torch.where(new >= 0, new + 0.5, torch.sigmoid(new))
        h = (1 - torch.sigmoid(gate)) * state[0] + torch.sigmoid(gate) * candidate
        return h, (h,)

    new, gate, way = plain(cell.project, x).chunk(3, dim=-1)
    h, _ = over_time(step, state, resets, new, gate)
    way = torch.sigmoid(way)
    return way * h + (1 - way) * x


def axon(cell: Axon, x: Tensor, state: State, resets: Tensor) -> Tensor:
    radius, angle = torch.exp(-torch.exp(cell.log_rate)), torch.exp(cell.log_angle)

    def step(state: State, given: Tensor) -> tuple[Tensor, State]:
        (real, imaginary), (new_real, new_imaginary) = state[0].chunk(2, dim=-1), given.chunk(2, dim=-1)
        scale = torch.sqrt(1 - radius**2)
        turned = radius * (torch.cos(angle) * real - torch.sin(angle) * imaginary) + scale * new_real
        across = radius * (torch.sin(angle) * real + torch.cos(angle) * imaginary) + scale * new_imaginary
        h = torch.cat([turned, across], dim=-1)
        return h, (h,)

    return plain(cell.leave, F.silu(over_time(step, state, resets, plain(cell.enter, x))[0]))


def conv(cell: CausalConv, x: Tensor, state: State, resets: Tensor) -> Tensor:
    def step(state: State, given: Tensor) -> tuple[Tensor, State]:
        past = torch.cat([state[0], given.unsqueeze(1)], dim=1)
        return (past.flip(1) * cell.weight).sum(1) + cell.bias, (past[:, 1:],)

    return over_time(step, state, resets, x)[0]


def attend(cell: Agalite, x: Tensor, state: State, resets: Tensor) -> Tensor:
    angles = torch.linspace(0, math.pi, cell.r) if cell.r > 1 else torch.zeros(1)

    def step(state: State, projected: Tensor, expanded: Tensor) -> tuple[Tensor, State]:
        keys, values, steps = state
        key, query, value, value_rate, rate = projected.view(-1, 5, cell.heads, cell.head).unbind(1)
        key, query, rate = (
            torch.einsum("bhe,bhd->bhed", more, part)
            for more, part in zip(
                expanded.view(-1, 3, cell.heads, cell.eta).unbind(1),
                (key, query, rate),
                strict=True,
            )
        )
        return _attend(cell, (keys, values, steps), key, query, value, value_rate, rate, angles)

    projected, expanded = plain(cell.project, x), plain(cell.expand, x)
    width = cell.heads * cell.head
    # Nonlinearities act on each factor of the outer products.
    projected = torch.cat(
        [
            F.relu(projected[..., : 2 * width]),
            projected[..., 2 * width : 3 * width],
            projected[..., 3 * width :].sigmoid(),
        ],
        dim=-1,
    )
    spread = 2 * cell.heads * cell.eta
    expanded = torch.cat([F.relu(expanded[..., :spread]), expanded[..., spread:].sigmoid()], dim=-1)
    return plain(cell.leave, over_time(step, state, resets, projected, expanded)[0])


def _attend(
    cell: Agalite,
    state: State,
    key: Tensor,
    query: Tensor,
    value: Tensor,
    value_rate: Tensor,
    rate: Tensor,
    angles: Tensor,
) -> tuple[Tensor, State]:
    keys, values, steps = state
    wave = torch.cos(steps * angles)  # [batch, r]
    keys = (1 - rate).unsqueeze(1) * keys + wave[:, :, None, None, None] * (rate * key).unsqueeze(1)
    values = (1 - value_rate).unsqueeze(1) * values + wave[:, :, None, None] * (value_rate * value).unsqueeze(1)
    found = (keys * query.unsqueeze(1)).sum((-1, -2))
    output = (values * found.unsqueeze(-1)).sum(1) / (cell.r * found[:, 0].unsqueeze(-1) + agalite.LEAST)
    return output.flatten(1), (keys, values, steps + 1)


def slstm(cell: Slstm, x: Tensor, state: State, resets: Tensor) -> Tensor:
    def step(state: State, gates: Tensor, values: Tensor) -> tuple[Tensor, State]:
        output, memory, normaliser, stabiliser = state
        fed_back = torch.einsum("bhi,hij->bhj", output, cell.recurrent)
        enter, keep, new, leave = (torch.cat([gates, values], dim=-1) + fed_back).chunk(4, dim=-1)
        kept = F.logsigmoid(keep) + stabiliser
        stabiliser = torch.maximum(kept, enter).detach()
        memory = torch.exp(kept - stabiliser) * memory + torch.exp(enter - stabiliser) * torch.tanh(new)
        normaliser = torch.exp(kept - stabiliser) * normaliser + torch.exp(enter - stabiliser)
        output = torch.sigmoid(leave) * memory / normaliser.clamp(min=LEAST)
        return output, (output, memory, normaliser, stabiliser)

    *inner, seen = state
    gates = plain(cell.gates, F.silu(conv(cell.conv, x, (seen,), resets)))
    given = [part.unflatten(-1, (cell.heads, -1)) for part in (gates, plain(cell.values, x))]
    outputs, _ = over_time(step, tuple(inner), resets, *given)
    return (F.layer_norm(outputs, (cell.head,)) * cell.norm).flatten(2)


def mlstm(cell: Mlstm, x: Tensor, state: State, resets: Tensor) -> Tensor:
    def step(state: State, keys: Tensor, value: Tensor, gates: Tensor) -> tuple[Tensor, State]:
        memory, normaliser, stabiliser = state
        key, query = keys.chunk(2, dim=-1)
        enter, keep = gates.chunk(2, dim=-1)
        kept = F.logsigmoid(keep) + stabiliser
        stabiliser = torch.maximum(kept, enter).detach()
        enter, keep = torch.exp(enter - stabiliser).unsqueeze(-1), torch.exp(kept - stabiliser).unsqueeze(-1)
        key = enter * key / math.sqrt(cell.head)
        memory = keep.unsqueeze(-1) * memory + torch.einsum("bhi,bhj->bhij", key, value)
        normaliser = keep * normaliser + key
        total = torch.einsum("bhi,bhij->bhj", query, memory)
        norm = torch.maximum((normaliser * query).sum(-1).abs(), torch.exp(-stabiliser))
        return total / norm.unsqueeze(-1), (memory, normaliser, stabiliser)

    *inner, seen = state
    near = F.silu(conv(cell.conv, x, (seen,), resets))
    keys, value = (part.unflatten(-1, (cell.heads, -1)) for part in (plain(cell.keys, near), plain(cell.values, x)))
    outputs, _ = over_time(step, tuple(inner), resets, keys, value, plain(cell.gates, near))
    return (F.layer_norm(outputs, (cell.head,)) * cell.norm).flatten(2)


def attention(cell: Attention, x: Tensor, state: State, resets: Tensor) -> Tensor:
    distances = torch.arange(cell.memory, -1, -1).unsqueeze(1)  # of what is remembered, the oldest first, and of now
    angles = distances * torch.exp(torch.arange(0, cell.width, 2) * (-math.log(10_000) / cell.width))
    waves = torch.cat([angles.sin(), angles.cos()], dim=-1)[:, : cell.width]
    places = plain(cell.places, waves).unflatten(-1, (cell.heads, -1))

    def step(state: State, query: Tensor, keys: Tensor) -> tuple[Tensor, State]:
        past, count = torch.cat([state[0], keys.unsqueeze(1)], dim=1), state[1]
        key, value = (part.unflatten(-1, (cell.heads, -1)) for part in past.chunk(2, dim=-1))
        query = query.unflatten(-1, (cell.heads, -1))
        scores = torch.einsum("bhd,bmhd->bhm", query + cell.key_bias, key)
        scores = scores + torch.einsum("bhd,mhd->bhm", query + cell.place_bias, places)
        absent = distances.squeeze(1) > count
        scores = (scores / math.sqrt(cell.head)).masked_fill(absent.unsqueeze(1), -math.inf)
        output = torch.einsum("bhm,bmhd->bhd", scores.softmax(-1), value)
        return output.flatten(1), (past[:, 1:], (count + 1).clamp(max=cell.memory))

    return plain(cell.leave, over_time(step, state, resets, plain(cell.query, x), plain(cell.keys, x))[0])


CELLS: dict[type[Cell], Callable[..., Tensor]] = {
    Lstm: lstm,
    MinGru: mingru,
    Axon: axon,
    CausalConv: conv,
    Agalite: attend,
    Slstm: slstm,
    Mlstm: mlstm,
    Attention: attention,
}
