"""AGaLiTe's attention as one compiled loop over time: its outer products are never written to memory."""

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from metta.policy.nets.interface import State
from metta.policy.nets.modules.numeric import LOWEST, ONE, ZERO, arrays, sigmoid
from metta.policy.nets.modules.threads import in_threads


def attend(
    projected: Tensor, expanded: Tensor, waves: Tensor, state: State, resets: Tensor, least: float
) -> tuple[Tensor, Tensor, Tensor]:
    """projected [time, batch, 5 x width] (keys, queries, values, rates of values and of keys), expanded [time, batch,
    3 x heads x eta] (of keys, queries, rates of keys), waves [time, batch, r], state: keys [batch, r, heads, eta, head]
    and values [batch, r, heads, head], resets bool [time, batch], `least`: added to what attention is divided by
    -> attention [time, batch, width], keys and values after it.
    """
    given = [part.contiguous() for part in (projected, expanded, waves, state[0].flatten(3), state[1], resets)]
    output, keys, values = _Attention.apply(*given, least)  # pyright: ignore[reportGeneralTypeIssues]
    return output, keys.view(state[0].shape), values


@njit(inline="always")
def _prepare(projected, expanded, work, more) -> None:
    """Of one step: work [5, width] and more [3, heads x eta], keys and queries >= 0, rates by sigmoid."""
    width, spread = work.shape[1], more.shape[1]
    for k in range(3):
        out, given = work[k], projected[k * width : (k + 1) * width]
        least = ZERO if k < 2 else LOWEST
        for w in range(width):
            out[w] = max(given[w], least)
    for k in range(3, 5):
        out, given = work[k], projected[k * width : (k + 1) * width]
        for w in range(width):
            out[w] = sigmoid(given[w])
    for k in range(3):
        out, given = more[k], expanded[k * spread : (k + 1) * spread]
        if k < 2:
            for w in range(spread):
                out[w] = max(given[w], ZERO)
        else:
            for w in range(spread):
                out[w] = sigmoid(given[w])


@njit(inline="always")
def _multiply_out(work, more, h, head, eta, outer) -> None:
    """outer [3, eta x head]: keys, queries and rates of head h multiplied out."""
    for k in range(3):
        row = work[k if k < 2 else 4, h * head : (h + 1) * head]
        for e in range(eta):
            factor, out = more[k, h * eta + e], outer[k, e * head : (e + 1) * head]
            for w in range(head):
                out[w] = factor * row[w]


@njit(inline="always")
def _one_head(keys, values, h, kept, waves, outer, value, rate, found, attention, least) -> None:
    """One step of head h: keys [r, heads, eta x head] and values [r, heads, head] are carried on."""
    key, query, key_rate = outer[0], outer[1], outer[2]
    attention[:] = ZERO
    for i in range(len(waves)):
        wave, now, now_value = waves[i], keys[i, h], values[i, h]
        total = ZERO
        for j in range(len(key)):
            old = kept * now[j]
            new = old + key_rate[j] * (wave * key[j] - old)
            now[j] = new
            total += new * query[j]
        found[i] = total
        for w in range(len(value)):
            old = kept * now_value[w]
            new = old + rate[w] * (wave * value[w] - old)
            now_value[w] = new
            attention[w] += new * total
    divisor = ONE / (np.float32(len(waves)) * found[0] + least)
    for w in range(len(value)):
        attention[w] *= divisor


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _forward(
    begin, end, projected, expanded, waves, start_keys, start_values, resets, least, output, keys, values
) -> None:
    """keys [batch, r, heads, eta x head] and values [batch, r, heads, head]: what is left after the segment."""
    heads, head = values.shape[2:]
    eta = keys.shape[3] // head
    work, more = np.empty((5, heads * head), np.float32), np.empty((3, heads * eta), np.float32)
    outer, found = np.empty((3, eta * head), np.float32), np.empty(keys.shape[1], np.float32)
    for b in range(begin, end):
        keys[b], values[b] = start_keys[b], start_values[b]
        for t in range(len(projected)):
            _prepare(projected[t, b], expanded[t, b], work, more)
            kept = np.float32(not resets[t, b])
            for h in range(heads):
                own = slice(h * head, (h + 1) * head)
                _multiply_out(work, more, h, head, eta, outer)
                _one_head(
                    keys[b], values[b], h, kept, waves[t, b], outer, work[2, own], work[3, own], found,
                    output[t, b, own], least,
                )  # fmt: skip


@njit(inline="always")
def _one_head_back(
    keys, values, keys_before, values_before, h, kept, waves, outer, value, rate, found, attention, given, least,
    of_keys, of_values, of_outer, of_value, of_rate, of_attention,
) -> None:  # fmt: skip
    """Gradients of one step of head h: of_keys [r, heads, eta x head] and of_values [r, heads, head] are those of what
    it leaves, then of what it found; of_outer [3, eta x head], of_value and of_rate [head] are written."""
    divisor = ONE / (np.float32(len(waves)) * found[0] + least)
    of_divisor = ZERO
    for w in range(len(value)):
        of_attention[w] = given[w] * divisor
        of_divisor -= given[w] * divisor * attention[w]
    of_outer[:] = ZERO
    of_value[:] = ZERO
    of_rate[:] = ZERO
    key, query, key_rate = outer[0], outer[1], outer[2]
    of_key, of_query, of_key_rate = of_outer[0], of_outer[1], of_outer[2]
    for i in range(len(waves)):
        wave, weight = waves[i], found[i]
        now, before, of_now = values[i, h], values_before[i, h], of_values[i, h]
        of_found = np.float32(len(waves)) * of_divisor if i == 0 else ZERO
        for w in range(len(value)):
            of_found += of_attention[w] * now[w]
        for w in range(len(value)):
            of_now[w] += of_attention[w] * weight
        for w in range(len(value)):
            of_rate[w] += of_now[w] * (wave * value[w] - kept * before[w])
        for w in range(len(value)):
            of_value[w] += of_now[w] * wave * rate[w]
            of_now[w] *= kept * (ONE - rate[w])
        now, before, of_now = keys[i, h], keys_before[i, h], of_keys[i, h]
        for j in range(len(key)):
            of_now[j] += of_found * query[j]
            of_query[j] += of_found * now[j]
        for j in range(len(key)):
            of_key_rate[j] += of_now[j] * (wave * key[j] - kept * before[j])
        for j in range(len(key)):
            of_key[j] += of_now[j] * wave * key_rate[j]
            of_now[j] *= kept * (ONE - key_rate[j])


@njit(inline="always")
def _gather(work, more, h, head, eta, of_outer, of_work, of_more) -> None:
    """Gradients of work and more from those of what was multiplied out."""
    for k in range(3):
        row, of_row = (
            work[k if k < 2 else 4, h * head : (h + 1) * head],
            of_work[k if k < 2 else 4, h * head : (h + 1) * head],
        )
        of_row[:] = ZERO
        for e in range(eta):
            factor, given = more[k, h * eta + e], of_outer[k, e * head : (e + 1) * head]
            total = ZERO
            for w in range(head):
                of_row[w] += factor * given[w]
                total += row[w] * given[w]
            of_more[k, h * eta + e] = total


@njit(inline="always")
def _prepare_back(work, more, of_work, of_more, d_projected, d_expanded) -> None:
    width, spread = work.shape[1], more.shape[1]
    for k in range(5):
        out, given, was = d_projected[k * width : (k + 1) * width], of_work[k], work[k]
        if k == 2:
            out[:] = given
        elif k < 2:
            for w in range(width):
                out[w] = given[w] if was[w] > ZERO else ZERO
        else:
            for w in range(width):
                out[w] = given[w] * was[w] * (ONE - was[w])
    for k in range(3):
        out, given, was = d_expanded[k * spread : (k + 1) * spread], of_more[k], more[k]
        if k < 2:
            for w in range(spread):
                out[w] = given[w] if was[w] > ZERO else ZERO
        else:
            for w in range(spread):
                out[w] = given[w] * was[w] * (ONE - was[w])


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _backward(
    begin, end, projected, expanded, waves, start_keys, start_values, resets, least,
    d_output, d_projected, d_expanded, d_keys, d_values,
) -> None:  # fmt: skip
    """What each row remembered is worked out again, step by step, then followed back.

    d_keys and d_values: gradients of what is left after the segment; in the end, of the state before it.
    """
    time, heads, head = len(projected), *d_values.shape[2:]
    oscillators, eta = d_keys.shape[1], d_keys.shape[3] // head
    work, more = np.empty((time, 5, heads * head), np.float32), np.empty((time, 3, heads * eta), np.float32)
    keys = np.empty((time + 1, oscillators, heads, eta * head), np.float32)
    values = np.empty((time + 1, oscillators, heads, head), np.float32)
    found, attention = np.empty((time, heads, oscillators), np.float32), np.empty((time, heads, head), np.float32)
    outer, of_outer = np.empty((3, eta * head), np.float32), np.empty((3, eta * head), np.float32)
    of_work, of_more, of_attention = np.empty_like(work[0]), np.empty_like(more[0]), np.empty(head, np.float32)
    for b in range(begin, end):
        keys[0], values[0] = start_keys[b], start_values[b]
        for t in range(time):
            _prepare(projected[t, b], expanded[t, b], work[t], more[t])
            kept = np.float32(not resets[t, b])
            keys[t + 1], values[t + 1] = keys[t], values[t]
            for h in range(heads):
                own = slice(h * head, (h + 1) * head)
                _multiply_out(work[t], more[t], h, head, eta, outer)
                _one_head(
                    keys[t + 1], values[t + 1], h, kept, waves[t, b], outer, work[t, 2, own], work[t, 3, own],
                    found[t, h], attention[t, h], least,
                )  # fmt: skip
        for t in range(time - 1, -1, -1):
            kept = np.float32(not resets[t, b])
            for h in range(heads):
                own = slice(h * head, (h + 1) * head)
                _multiply_out(work[t], more[t], h, head, eta, outer)
                _one_head_back(
                    keys[t + 1], values[t + 1], keys[t], values[t], h, kept, waves[t, b], outer,
                    work[t, 2, own], work[t, 3, own], found[t, h], attention[t, h], d_output[t, b, own], least,
                    d_keys[b], d_values[b], of_outer, of_work[2, own], of_work[3, own], of_attention,
                )  # fmt: skip
                _gather(work[t], more[t], h, head, eta, of_outer, of_work, of_more)
            _prepare_back(work[t], more[t], of_work, of_more, d_projected[t, b], d_expanded[t, b])


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, Tensor, Tensor]:
        *tensors, least = given
        projected, keys, values = tensors[0], torch.empty_like(tensors[3]), torch.empty_like(tensors[4])
        output = projected.new_empty(*projected.shape[:2], projected.shape[2] // 5)
        args = [*arrays(*tensors), np.float32(least), *arrays(output, keys, values)]
        in_threads(len(keys), lambda share, begin, end: _forward(begin, end, *args))
        ctx.save_for_backward(*tensors)
        ctx.least = least
        return output, keys, values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        d_output, d_keys, d_values = gradients[0].contiguous(), gradients[1].clone(), gradients[2].clone()
        d_projected, d_expanded = (torch.empty_like(part) for part in ctx.saved_tensors[:2])
        args = [*arrays(*ctx.saved_tensors), np.float32(ctx.least)]
        args += arrays(d_output, d_projected, d_expanded, d_keys, d_values)
        in_threads(len(d_keys), lambda share, begin, end: _backward(begin, end, *args))
        return d_projected, d_expanded, None, d_keys, d_values, None, None
