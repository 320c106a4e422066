"""Compiled loops over rows of numbers, for CPU: GELU, layer normalisation, with their gradients.

A row's result depends on that row alone, bit for bit. Torch's own loops read and write as many bytes, but not where
the numbers are still in the cache.
"""

import numpy as np
from numba import njit

from metta.policy.nets.modules.numeric import HALF, ONE, exp

EPSILON = np.float32(1e-5)  # added to variances, as torch does
HALF_ROOT, DENSITY = np.float32(0.7071067811865476), np.float32(0.3989422804014327)  # 1 / √2, 1 / √(2 pi)


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
