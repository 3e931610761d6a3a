"""Naive normalisations in float64 NumPy. Imports nothing of ours."""

import numpy as np


def _shaped(v, ndim):
    return v.reshape(1, -1, *(1,) * (ndim - 2))


def standard(x, axes, eps):
    mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(var + eps)


def standard_grad(x, g, axes, eps):
    """Of `standard`, for the input."""
    normal = standard(x, axes, eps)
    inner = (
        g - g.mean(axis=axes, keepdims=True) - normal * (g * normal).mean(axis=axes, keepdims=True)
    )
    return inner / np.sqrt(x.var(axis=axes, keepdims=True) + eps)


def group_norm(x, groups, weight, bias, eps):
    split = x.reshape(x.shape[0], groups, -1)
    normal = standard(split, 2, eps).reshape(x.shape)
    return normal * _shaped(weight, x.ndim) + _shaped(bias, x.ndim)


def group_norm_grad(x, g, groups, weight, eps):
    """Gradients of input, weight and bias."""
    split = x.reshape(x.shape[0], groups, -1)
    behind = (g * _shaped(weight, x.ndim)).reshape(split.shape)
    axes = (0, *range(2, x.ndim))
    normal = standard(split, 2, eps).reshape(x.shape)
    dx = standard_grad(split, behind, 2, eps).reshape(x.shape)
    return dx, (g * normal).sum(axes), g.sum(axes)


def local_response_norm(x, size, alpha, beta, k, average):
    y = np.empty_like(x)
    channels = x.shape[1]
    for c in range(channels):
        first, last = max(c - size // 2, 0), min(c + (size - 1) // 2, channels - 1)
        power = (x[:, first : last + 1] ** 2).sum(1) / (size if average else 1)
        y[:, c] = x[:, c] / (k + alpha * power) ** beta
    return y


def normalize(x, p, dim, eps):
    return x / np.maximum(np.linalg.norm(x, p, dim, keepdims=True), eps)
