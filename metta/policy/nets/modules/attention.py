"""Attention over a different number of tokens per row, compiled, for CPU: no work for padding.

Queries come ready for the tokens as they are (keys' and values' projections absorbed into what is before and after),
so the tokens are both keys and values.
"""

import numpy as np
from numba import njit

from metta.policy.nets.modules.elementwise import normalise_row, normalise_row_backward
from metta.policy.nets.modules.numeric import ONE, exp


@njit(cache=True, nogil=True)
def count_live(padding, starts) -> None:
    """Where each row's tokens start among all that are there, into starts [n + 1], from padding bool [n, tokens]."""
    starts[0] = 0
    for n in range(padding.shape[0]):
        live = 0
        for t in range(padding.shape[1]):
            live += not padding[n, t]
        starts[n + 1] = starts[n] + live


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def pack(begin, end, features, padding, starts, weight, bias, packed) -> None:
    """Tokens of rows begin..end of features [n, tokens, width] that are there, normalised: packed [live, width]."""
    for n in range(begin, end):
        at = starts[n]
        for t in range(padding.shape[1]):
            if not padding[n, t]:
                normalise_row(features[n, t], weight, bias, packed[at])
                at += 1


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def pack_backward(
    begin, end, features, padding, starts, weight, gradient, feature_gradient, weight_gradient, bias_gradient
) -> None:
    """Gradients of `pack`: that of features is written, those of weight and bias are added."""
    for n in range(begin, end):
        at = starts[n]
        for t in range(padding.shape[1]):
            for k in range(features.shape[2]):
                feature_gradient[n, t, k] = 0
            if not padding[n, t]:
                normalise_row_backward(
                    features[n, t], weight, gradient[at], feature_gradient[n, t], weight_gradient, bias_gradient
                )
                at += 1


@njit(inline="always")
def _transposed(a, output) -> None:
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            output[j, i] = a[i, j]


@njit(inline="always")
def _product(a, b, output, adds) -> None:
    """a [m, k] times b [k, n] into output [m, n], or added to it.

    Two rows of a and four of b at a time: fewer loads, and fewer loops to enter. A last odd row is done twice.
    """
    rows, inner, width = a.shape[0], a.shape[1], b.shape[1]
    whole = inner // 4 * 4
    if not adds:
        for i in range(rows):
            for k in range(width):
                output[i, k] = 0
    for i in range(0, rows, 2):
        x, y, o, p = a[i], a[min(i + 1, rows - 1)], output[i], output[min(i + 1, rows - 1)]
        for j in range(0, whole, 4):
            x0, x1, x2, x3 = x[j], x[j + 1], x[j + 2], x[j + 3]
            y0, y1, y2, y3 = y[j], y[j + 1], y[j + 2], y[j + 3]
            for k in range(width):
                b0, b1, b2, b3 = b[j, k], b[j + 1, k], b[j + 2, k], b[j + 3, k]
                first, second = o[k], p[k]
                o[k] = first + (x0 * b0 + x1 * b1) + (x2 * b2 + x3 * b3)
                p[k] = second + (y0 * b0 + y1 * b1) + (y2 * b2 + y3 * b3)
        for j in range(whole, inner):
            x0, y0 = x[j], y[j]
            for k in range(width):
                first, second = o[k], p[k]
                o[k] = first + x0 * b[j, k]
                p[k] = second + y0 * b[j, k]


@njit(inline="always")
def _weights(x, queries, weights, highest, total) -> None:
    """Softmax over tokens, before the division by its sum.

    x [tokens, width], queries [width, count] -> weights [tokens, count], total [count].
    """
    _product(x, queries, weights, False)
    for k in range(len(total)):
        highest[k] = weights[0, k]
        total[k] = 0
    for t in range(1, x.shape[0]):
        for k in range(len(total)):
            highest[k] = max(highest[k], weights[t, k])
    for t in range(x.shape[0]):
        for k in range(len(total)):
            weights[t, k] = exp(weights[t, k] - highest[k])
            total[k] += weights[t, k]


@njit(inline="always")
def _longest(begin, end, starts):
    longest = 0
    for n in range(begin, end):
        longest = max(longest, starts[n + 1] - starts[n])
    return longest


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def attend(begin, end, tokens, starts, queries, output) -> None:
    """For rows begin..end: softmax over a row's tokens of queries · tokens, and their mean by it.

    tokens [live, width], starts int64 [n + 1], queries [n, count, width] -> output [n, count, width]; 0 without tokens.
    """
    count, width = queries.shape[1], queries.shape[2]
    longest = _longest(begin, end, starts)
    weights = np.empty((longest, count), np.float32)
    across, means = np.empty((width, count), np.float32), np.empty((width, count), np.float32)
    turned = np.empty(width * longest, np.float32)
    highest, total = np.empty(count, np.float32), np.empty(count, np.float32)
    for n in range(begin, end):
        x = tokens[starts[n] : starts[n + 1]]
        live = len(x)
        if live == 0:
            output[n] = 0
            continue
        _transposed(queries[n], across)
        _weights(x, across, weights[:live], highest, total)
        x_turned = turned[: width * live].reshape(width, live)
        _transposed(x, x_turned)
        _product(x_turned, weights[:live], means, False)
        for k in range(count):
            total[k] = ONE / total[k]
        for d in range(width):
            for k in range(count):
                means[d, k] *= total[k]
        _transposed(means, output[n])


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def attend_backward(begin, end, tokens, starts, queries, gradient, token_gradient, query_gradient) -> None:
    """Gradients of `attend`, from that of its output, are written; softmax is worked out again."""
    count, width = queries.shape[1], queries.shape[2]
    longest = _longest(begin, end, starts)
    weights, slopes = np.empty((longest, count), np.float32), np.empty((longest, count), np.float32)
    across, passed = np.empty((width, count), np.float32), np.empty((width, count), np.float32)
    turned = np.empty(width * longest, np.float32)
    highest, total, mean = np.empty(count, np.float32), np.empty(count, np.float32), np.empty(count, np.float32)
    for n in range(begin, end):
        x, x_gradient = tokens[starts[n] : starts[n + 1]], token_gradient[starts[n] : starts[n + 1]]
        live = len(x)
        if live == 0:
            query_gradient[n] = 0
            continue
        w, s = weights[:live], slopes[:live]
        _transposed(queries[n], across)
        _weights(x, across, w, highest, total)
        _transposed(gradient[n], passed)
        _product(x, passed, s, False)
        for k in range(count):
            total[k] = ONE / total[k]
            mean[k] = 0
        for t in range(live):
            for k in range(count):
                w[t, k] *= total[k]
                mean[k] += w[t, k] * s[t, k]
        for t in range(live):
            for k in range(count):
                s[t, k] = w[t, k] * (s[t, k] - mean[k])
        _product(w, gradient[n], x_gradient, False)
        _product(s, queries[n], x_gradient, True)
        x_turned = turned[: width * live].reshape(width, live)
        _transposed(x, x_turned)
        _product(x_turned, s, across, False)
        _transposed(across, query_gradient[n])
