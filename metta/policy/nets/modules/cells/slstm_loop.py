"""sLSTM's recurrence as one compiled loop over time.

Loops are short and write one array each: with more, compilers check for overlap instead of using vector instructions.
"""

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from metta.policy.nets.interface import State
from metta.policy.nets.modules.numeric import ONE, ZERO, arrays, exp, sigmoid, tanh
from metta.policy.nets.modules.threads import in_threads

LEAST = 1e-6  # what the normaliser is at least
_LEAST = np.float32(LEAST)
BLOCK = 16  # rows


def recur(gates: Tensor, values: Tensor, recurrent: Tensor, state: State, resets: Tensor) -> tuple[Tensor, State]:
    """gates (input, forget) and values (new, output) [time, batch, heads x 2 x head], recurrent weights [heads, head,
    4 x head], state (output, memory, normaliser, stabiliser) [batch, heads, head], resets bool [time, batch]
    -> outputs [time, batch, heads, head] and the state after it."""
    given = [part.contiguous() for part in (gates, values, recurrent, *state, resets)]
    outputs, *after = _Recurrence.apply(*given, torch.is_grad_enabled())  # pyright: ignore[reportGeneralTypeIssues]
    return outputs, (outputs[-1], *after)


@njit(inline="always")
def _place(item, begin, end, heads):
    """Head and row of each item of (end - begin) x heads: heads of 16 rows in turn, whose weights then stay near."""
    block = begin + item // (BLOCK * heads) * BLOCK
    rows, within = min(BLOCK, end - block), item % (BLOCK * heads)
    return within // rows, block + within % rows


@njit(inline="always")
def _add_product(x, rows, sums) -> None:
    """sums [n] += x [k] times rows [k, n]: four rows at a time, so that sums are read and written less often."""
    k, whole = 0, x.shape[0] // 4 * 4
    while k < whole:
        a, b, c, d = x[k], x[k + 1], x[k + 2], x[k + 3]
        row_a, row_b, row_c, row_d = rows[k], rows[k + 1], rows[k + 2], rows[k + 3]
        for n in range(sums.shape[0]):
            sums[n] += a * row_a[n] + b * row_b[n] + c * row_c[n] + d * row_d[n]
        k += 4
    for rest in range(whole, x.shape[0]):
        a, row_a = x[rest], rows[rest]
        for n in range(sums.shape[0]):
            sums[n] += a * row_a[n]


@njit(inline="always")
def _product(rows, x, out) -> None:
    """out [k] = rows [k, n] times x [n]."""
    k, whole = 0, out.shape[0] // 4 * 4
    while k < whole:
        row_a, row_b, row_c, row_d = rows[k], rows[k + 1], rows[k + 2], rows[k + 3]
        a, b, c, d = ZERO, ZERO, ZERO, ZERO
        for n in range(x.shape[0]):
            a += row_a[n] * x[n]
            b += row_b[n] * x[n]
            c += row_c[n] * x[n]
            d += row_d[n] * x[n]
        out[k], out[k + 1], out[k + 2], out[k + 3] = a, b, c, d
        k += 4
    for rest in range(whole, out.shape[0]):
        a, row_a = ZERO, rows[rest]
        for n in range(x.shape[0]):
            a += row_a[n] * x[n]
        out[rest] = a


@njit(inline="always")
def _open_gates(sums, kept, falling, stabiliser, acts) -> None:
    """Sums [4 x head] of input and forget gate, new value and output gate -> acts [5, head]: the gates with memory
    divided by e^stabiliser, new value, output gate, and the forget gate's slope. The stabiliser is carried on."""
    head = stabiliser.shape[0]
    enter, keep, new, leave = sums[:head], sums[head : 2 * head], sums[2 * head : 3 * head], sums[3 * head :]
    enters, keeps, news, leaves, slopes = acts[0], acts[1], acts[2], acts[3], acts[4]
    for w in range(head):
        falling[w] = min(keep[w], ZERO) + kept * stabiliser[w]
    for w in range(head):
        stabiliser[w] = max(falling[w], enter[w])
    for w in range(head):
        enters[w] = exp(enter[w] - stabiliser[w])
    for w in range(head):
        keeps[w] = kept * exp(falling[w] - stabiliser[w]) / (ONE + exp(-abs(keep[w])))
    for w in range(head):
        news[w] = tanh(new[w])
    for w in range(head):
        leaves[w] = sigmoid(leave[w])
    for w in range(head):
        slopes[w] = sigmoid(-keep[w])


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _forward(
    begin, end, gates, values, recurrent, start, start_memory, start_normaliser, resets,
    outputs, acts, memories, normalisers, stabiliser,
) -> None:  # fmt: skip
    """outputs [time, batch, heads, head]; acts, memories and normalisers have as many steps if kept, else one."""
    heads, head = recurrent.shape[:2]
    keeps_all = np.int64(len(acts) > 1)
    sums, falling = np.empty(4 * head, np.float32), np.empty(head, np.float32)
    for t in range(len(outputs)):
        now, before = t * keeps_all, (t - 1) * keeps_all
        for item in range((end - begin) * heads):
            h, b = _place(item, begin, end, heads)
            sums[: 2 * head] = gates[t, b, h * 2 * head : (h + 1) * 2 * head]
            sums[2 * head :] = values[t, b, h * 2 * head : (h + 1) * 2 * head]
            kept = np.float32(not resets[t, b])
            if not resets[t, b]:
                _add_product(outputs[t - 1, b, h] if t else start[b, h], recurrent[h], sums)
            act, memory, normaliser = acts[now, b, h], memories[now, b, h], normalisers[now, b, h]
            _open_gates(sums, kept, falling, stabiliser[b, h], act)
            enter, keep, new, leave, output = act[0], act[1], act[2], act[3], outputs[t, b, h]
            old_memory = memories[before, b, h] if t else start_memory[b, h]
            old_normaliser = normalisers[before, b, h] if t else start_normaliser[b, h]
            for w in range(head):
                memory[w] = keep[w] * old_memory[w] + enter[w] * new[w]
            for w in range(head):
                normaliser[w] = keep[w] * old_normaliser[w] + enter[w]
            for w in range(head):
                output[w] = leave[w] * memory[w] / max(normaliser[w], _LEAST)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _backward(
    begin, end, recurrent, start_memory, start_normaliser, resets, acts, memories, normalisers, d_outputs,
    d_output, d_memory, d_normaliser, d_stabiliser, d_gates, d_values,
) -> None:  # fmt: skip
    """d_output, d_memory, d_normaliser [batch, heads, head]: of the last step's; in the end, of the state before."""
    heads, head = recurrent.shape[:2]
    sums, given = np.empty(4 * head, np.float32), np.empty(head, np.float32)
    of_enter, of_keep, of_new, of_leave = (
        sums[:head],
        sums[head : 2 * head],
        sums[2 * head : 3 * head],
        sums[3 * head :],
    )
    for t in range(len(d_outputs) - 1, -1, -1):
        for item in range((end - begin) * heads):
            h, b = _place(item, begin, end, heads)
            act, memory, normaliser = acts[t, b, h], memories[t, b, h], normalisers[t, b, h]
            enter, keep, new, leave, slope = act[0], act[1], act[2], act[3], act[4]
            old_memory = memories[t - 1, b, h] if t else start_memory[b, h]
            old_normaliser = normalisers[t - 1, b, h] if t else start_normaliser[b, h]
            later, of_memory, of_normaliser = d_output[b, h], d_memory[b, h], d_normaliser[b, h]
            from_above = d_outputs[t, b, h]
            for w in range(head):
                given[w] = (from_above[w] + later[w]) / max(normaliser[w], _LEAST)
            for w in range(head):
                of_leave[w] = given[w] * memory[w] * leave[w] * (ONE - leave[w])
            for w in range(head):
                of_memory[w] += given[w] * leave[w]
            for w in range(head):
                fixed = normaliser[w] <= _LEAST
                of_normaliser[w] -= ZERO if fixed else given[w] * leave[w] * memory[w] / normaliser[w]
            for w in range(head):
                of_enter[w] = (of_memory[w] * new[w] + of_normaliser[w]) * enter[w]
            for w in range(head):
                of_new[w] = of_memory[w] * enter[w] * (ONE - new[w] * new[w])
            for w in range(head):
                of_keep[w] = (of_memory[w] * old_memory[w] + of_normaliser[w] * old_normaliser[w]) * keep[w]
            if t == 0:
                d_stabiliser[b, h] = of_keep
            for w in range(head):
                of_keep[w] *= slope[w]
            for w in range(head):
                of_memory[w] *= keep[w]
            for w in range(head):
                of_normaliser[w] *= keep[w]
            d_gates[t, b, h * 2 * head : (h + 1) * 2 * head] = sums[: 2 * head]
            d_values[t, b, h * 2 * head : (h + 1) * 2 * head] = sums[2 * head :]
            if resets[t, b]:
                later[:] = ZERO
            else:
                _product(recurrent[h], sums, later)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, ...]:
        gates, values, recurrent, output, memory, normaliser, stabiliser, resets, learns = given
        (time, batch), (heads, head) = resets.shape, recurrent.shape[:2]
        steps = time if learns else 1
        outputs = gates.new_empty(time, batch, heads, head)
        acts = gates.new_empty(steps, batch, heads, 5, head)
        memories, normalisers = gates.new_empty(2, steps, batch, heads, head)
        stabiliser = stabiliser.clone()
        args = arrays(gates, values, recurrent, output, memory, normaliser, resets)
        args += arrays(outputs, acts, memories, normalisers, stabiliser)
        in_threads(batch, lambda share, begin, end: _forward(begin, end, *args))
        ctx.save_for_backward(recurrent, memory, normaliser, resets, acts, memories, normalisers, output, outputs)
        ctx.mark_non_differentiable(stabiliser)
        return outputs, memories[-1].clone(), normalisers[-1].clone(), stabiliser

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        *saved, start, outputs = ctx.saved_tensors
        recurrent, resets = saved[0], saved[3]
        (time, batch), (heads, head) = resets.shape, recurrent.shape[:2]
        before = [torch.zeros_like(start), gradients[1].clone(), gradients[2].clone(), torch.zeros_like(start)]
        d_gates, d_values = (start.new_empty(time, batch, heads * 2 * head) for _ in range(2))
        args = arrays(*saved, gradients[0].contiguous(), *before, d_gates, d_values)
        in_threads(batch, lambda share, begin, end: _backward(begin, end, *args))
        fed_back = torch.cat([start.unsqueeze(0), outputs[:-1]]).masked_fill_(resets[..., None, None], 0)
        fed_back = fed_back.view(-1, heads, head).permute(1, 2, 0)
        sums = [fed_back @ part.view(-1, heads, 2 * head).transpose(0, 1) for part in (d_gates, d_values)]
        return d_gates, d_values, torch.cat(sums, dim=2), *before, None, None
