"""Compiled loops over rows of numbers, for CPU: exponential, GELU, layer normalisation, with their gradients.

A row's result depends on that row alone, bit for bit. Torch's own loops read and write as many bytes, but not where
the numbers are still in the cache.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic

LOG2_E, LN_2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)
LOWEST = np.float32(-87.0)  # exp of less is no normal float32
EPSILON = np.float32(1e-5)  # added to variances, as torch does
ONE, HALF = np.float32(1), np.float32(0.5)
HALF_ROOT, DENSITY = np.float32(0.7071067811865476), np.float32(0.3989422804014327)  # 1 / √2, 1 / √(2 pi)

operation: Callable[..., Any] = intrinsic  # what it decorates is called without the compiler's context


@operation
def _power_of_2(typing_context: Any, exponent: Any) -> Any:
    """2 to a whole float32 from -126 to 127, by writing its exponent: loops over it become vector instructions."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        whole = builder.fptosi(arguments[0], word)
        bits = builder.shl(builder.add(whole, ir.Constant(word, 127)), ir.Constant(word, 23))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.float32), emit


@njit(inline="always")
def exp(x):
    """e to a float32 of at most 88, to 2e-7 of its size (polynomial of Cephes' expf)."""
    x = max(x, LOWEST)
    whole = np.floor(x * LOG2_E + HALF)
    r = x - whole * LN_2
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    return (p * r * r + r + ONE) * _power_of_2(whole)


@njit(inline="always")
def _normal(x):
    """Distribution function and density of the standard normal at x, to 1e-7 (Abramowitz and Stegun 7.1.26)."""
    bell = exp(-HALF * x * x)
    t = ONE / (ONE + np.float32(0.3275911) * HALF_ROOT * abs(x))
    p = np.float32(1.061405429)
    p = p * t - np.float32(1.453152027)
    p = p * t + np.float32(1.421413741)
    p = p * t - np.float32(0.284496736)
    p = p * t + np.float32(0.254829592)
    tail = HALF * p * t * bell
    return (ONE - tail if x > 0 else tail), DENSITY * bell


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def gelu(begin, end, x) -> None:
    """Rows begin..end of x [rows, width] -> their GELU, in place."""
    for n in range(begin, end):
        for k in range(x.shape[1]):
            share, _ = _normal(x[n, k])
            x[n, k] *= share


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def gelu_backward(begin, end, x, gradient, output) -> None:
    """GELU of x into output; gradient of the output -> gradient of x, in place. All [rows, width]."""
    for n in range(begin, end):
        for k in range(x.shape[1]):
            value = x[n, k]
            share, density = _normal(value)
            output[n, k] = value * share
            gradient[n, k] *= share + value * density


@njit(inline="always")
def _moments(x):
    """Mean and inverse standard deviation of numbers [width]."""
    total = np.float32(0)
    for k in range(len(x)):
        total += x[k]
    mean = total / np.float32(len(x))
    total = np.float32(0)
    for k in range(len(x)):
        total += (x[k] - mean) * (x[k] - mean)
    return mean, ONE / np.sqrt(total / np.float32(len(x)) + EPSILON)


@njit(inline="always")
def normalise_row(x, weight, bias, output) -> None:
    """Numbers [width] to mean 0 and deviation 1, times weight, plus bias."""
    mean, inverse = _moments(x)
    for k in range(len(x)):
        output[k] = (x[k] - mean) * inverse * weight[k] + bias[k]


@njit(inline="always")
def normalise_row_backward(x, weight, gradient, x_gradient, weight_gradient, bias_gradient) -> None:
    """Add the gradients of `normalise_row`, from that of its output."""
    mean, inverse = _moments(x)
    plain, along = np.float32(0), np.float32(0)
    for k in range(len(x)):
        passed = gradient[k] * weight[k]
        plain += passed
        along += passed * (x[k] - mean)
    plain /= np.float32(len(x))
    along *= inverse * inverse / np.float32(len(x))
    for k in range(len(x)):
        centred = x[k] - mean
        weight_gradient[k] += gradient[k] * centred * inverse
        bias_gradient[k] += gradient[k]
        x_gradient[k] += inverse * (gradient[k] * weight[k] - plain - centred * along)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def normalise(begin, end, x, weight, bias, output) -> None:
    """Rows begin..end of x [rows, width], each by `normalise_row`, into output."""
    for n in range(begin, end):
        normalise_row(x[n], weight, bias, output[n])


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def normalise_backward(begin, end, x, weight, gradient, x_gradient, weight_gradient, bias_gradient) -> None:
    """Add the gradients of `normalise`."""
    for n in range(begin, end):
        normalise_row_backward(x[n], weight, gradient[n], x_gradient[n], weight_gradient, bias_gradient)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def normalised_mean(begin, end, x, weight, bias, output) -> None:
    """x [rows, parts, width] -> mean over a row's parts, each by `normalise_row`, into output [rows, width]."""
    share = ONE / np.float32(x.shape[1])
    for n in range(begin, end):
        for k in range(x.shape[2]):
            output[n, k] = 0
        for part in range(x.shape[1]):
            mean, inverse = _moments(x[n, part])
            for k in range(x.shape[2]):
                output[n, k] += (x[n, part, k] - mean) * inverse
        for k in range(x.shape[2]):
            output[n, k] = output[n, k] * share * weight[k] + bias[k]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def normalised_mean_backward(begin, end, x, weight, gradient, x_gradient, weight_gradient, bias_gradient) -> None:
    """Gradients of `normalised_mean`: that of x is written, those of weight and bias are added."""
    share = ONE / np.float32(x.shape[1])
    passed = np.empty(x.shape[2], np.float32)
    for n in range(begin, end):
        for k in range(x.shape[2]):
            passed[k] = gradient[n, k] * share
        for part in range(x.shape[1]):
            for k in range(x.shape[2]):
                x_gradient[n, part, k] = 0
            normalise_row_backward(x[n, part], weight, passed, x_gradient[n, part], weight_gradient, bias_gradient)
