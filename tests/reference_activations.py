"""Naive activations in float64, and their slopes. Imports nothing of ours."""

import math

import numpy as np

_erfc = np.vectorize(math.erfc, otypes=[np.float64])
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
STEEP, CUBIC = math.sqrt(2 / math.pi), 0.044715


def sigmoid(x):
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_slope(x, alpha=1.0):
    return np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)))


def softplus(x, beta=1.0, threshold=20.0):
    curved = np.log1p(np.exp(np.minimum(beta * x, threshold))) / beta
    return np.where(beta * x > threshold, x, curved)


def softplus_slope(x, beta=1.0, threshold=20.0):
    return np.where(beta * x > threshold, 1, sigmoid(beta * x))


def _tanh_softplus(x):
    e = np.exp(-np.abs(x))  # of tanh(log(1 + exp(x))), written in what does not overflow
    return np.where(x >= 0, (1 + 2 * e) / (1 + 2 * e + 2 * e * e), e * (e + 2) / (e * (e + 2) + 2))


def _mish_slope(x):
    t = _tanh_softplus(x)
    return t + x * (1 - t * t) * sigmoid(x)


def _gelu_tanh_slope(x):
    t = np.tanh(STEEP * (x + CUBIC * x**3))
    return (1 + t) / 2 + x * (1 - t * t) / 2 * STEEP * (1 + 3 * CUBIC * x * x)


def normal_below(x):
    return _erfc(-x / math.sqrt(2)) / 2


def hardsigmoid(x):
    return np.clip(x + 3, 0, 6) / 6


def prelu(x, weight):
    """`weight` has one entry, or one a channel (axis 1)."""
    if len(weight) > 1:
        weight = weight.reshape(-1, *(1,) * (x.ndim - 2))
    return np.where(x > 0, x, weight * x)


def prelu_weight_grad(x, g, one):
    terms = np.where(x > 0, 0, x * g)
    return terms.sum(keepdims=True).reshape(1) if one else terms.sum((0, *range(2, x.ndim)))


# name: (value, slope), for finite x
CURVES = {
    "relu6": (lambda x: np.clip(x, 0, 6), lambda x: ((x > 0) & (x < 6)).astype(x.dtype)),
    "elu": (elu, elu_slope),
    "selu": (
        lambda x: SELU_SCALE * elu(x, SELU_ALPHA),
        lambda x: SELU_SCALE * elu_slope(x, SELU_ALPHA),
    ),
    "silu": (lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x))),
    "gelu": (
        lambda x: x * normal_below(x),
        lambda x: normal_below(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    ),
    "mish": (lambda x: x * _tanh_softplus(x), _mish_slope),
    "hardsigmoid": (hardsigmoid, lambda x: (np.abs(x) < 3) / 6),
    "hardswish": (
        lambda x: x * hardsigmoid(x),
        lambda x: np.where(x <= -3, 0, np.where(x < 3, x / 3 + 0.5, 1)),
    ),
    "logsigmoid": (
        lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))),
        lambda x: sigmoid(-x),
    ),
    "softplus": (softplus, softplus_slope),
}
GELU_TANH = (
    lambda x: x * (1 + np.tanh(STEEP * (x + CUBIC * x**3))) / 2,
    _gelu_tanh_slope,
)

# The limits at minus and plus infinity, of value and slope.
INF = math.inf
LIMITS = {
    "relu6": ((0, 6), (0, 0)),
    "elu": ((-1, INF), (0, 1)),
    "selu": ((-SELU_SCALE * SELU_ALPHA, INF), (0, SELU_SCALE)),
    "silu": ((0, INF), (0, 1)),
    "gelu": ((0, INF), (0, 1)),
    "mish": ((0, INF), (0, 1)),
    "hardsigmoid": ((0, 1), (0, 0)),
    "hardswish": ((0, INF), (0, 1)),
    "logsigmoid": ((-INF, 0), (1, 0)),
    "softplus": ((0, INF), (0, 1)),
}
