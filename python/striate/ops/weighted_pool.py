"""Averages of windows in which near pixels count more than far ones."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from .arguments import image, per_axis, per_axis_pairs, real
from .conv import forward


def distance_weights(kernel_size: tuple[int, ...], sigma: float) -> Any:
    """``exp(-d^2 / (2 sigma^2))`` at distance d from the centre of the window, with sum 1.

    Relative to the taps nearest to the centre, at `nearest` along an axis: some weights are 1 then,
    however small sigma is.
    """
    exponent = np.zeros(kernel_size)
    for axis, k in enumerate(kernel_size):
        d, nearest = np.abs(np.arange(k) - (k - 1) / 2), 0.0 if k % 2 else 0.5
        with np.errstate(over="ignore", invalid="ignore"):
            squares = (d - nearest) / sigma * ((d + nearest) / sigma)  # d^2 - nearest^2
        squares[d == nearest] = 0.0
        exponent += squares.reshape([-1 if i == axis else 1 for i in range(len(kernel_size))])
    weights = np.exp(exponent / -2.0)
    return weights / weights.sum()


def _weighted_pool(
    rank: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    sigma: Any,
    count_include_pad: bool,
) -> Any:
    op = f"weighted_pool{rank}d"
    input, found = image(op, "input", input)
    if found != rank:
        raise ValueError(f"{op}: input must have {rank + 2} axes, got shape {input.shape}")
    kernel = per_axis(op, "kernel_size", kernel_size, rank)
    if min(kernel) < 1:
        raise ValueError(f"{op}: kernel_size must be positive, got {kernel_size!r}")
    steps = kernel if stride is None else per_axis(op, "stride", stride, rank)
    pairs = per_axis_pairs(op, "padding", padding, rank)
    if any(not 0 <= pad <= k // 2 for pair, k in zip(pairs, kernel, strict=True) for pad in pair):
        raise ValueError(
            f"{op}: padding must not be negative, and at most half of the kernel {kernel}, so that "
            f"every window sees the input, got {pairs}"
        )
    padded = tuple(n + low + high for n, (low, high) in zip(input.shape[2:], pairs, strict=True))
    if any(k > n for k, n in zip(kernel, padded, strict=True)):
        raise ValueError(
            f"{op}: kernel_size {kernel} is larger than the padded input of {padded} pixels"
        )
    width = max(kernel) / 4.0 if sigma is None else real(op, "sigma", sigma)
    if not 0.0 < width < math.inf:
        raise ValueError(f"{op}: sigma must be positive and finite, got {sigma!r}")
    weights = distance_weights(kernel, width).astype(input.dtype)[None, None]
    channels = input.shape[1]
    form = (steps, pairs, (1,) * rank, max(channels, 1), True, None)
    repeated = np.repeat(weights, channels, 0)
    result = forward(op, input, repeated, None, None, None, form, None, None)
    if count_include_pad or not any(itertools.chain.from_iterable(pairs)):
        return result
    ones = np.ones((1, 1, *input.shape[2:]), input.dtype)
    form = (*form[:3], 1, True, None)
    return result / forward(op, ones, weights, None, None, None, form, None, None)


def weighted_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    sigma: float | None = None,
    count_include_pad: bool = True,
) -> Any:
    """Average of every window, weighted by the distance from its central pixel.

    ``y[n, c, i, j] = sum over u, v of w[u, v] x[n, c, i * stride + u - padding, ...]`` with ``w``
    proportional to ``exp(-d^2 / (2 sigma^2))``, d the distance of tap (u, v) from the centre of the
    window, and of sum 1. It is a channel-wise convolution with a fixed filter.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H, W), float32 or float64
    kernel_size, stride, padding
        As for `max_pool2d`.
    sigma : float, optional
        How fast weights fall, in pixels; a quarter of the longest side of the window by default. A
        large one gives `avg_pool2d`.
    count_include_pad : bool
        Whether the zeros of the padding take part in the average.

    Returns
    -------
    ndarray, or Tensor for a Tensor

    Raises
    ------
    TypeError, ValueError
        As `conv2d`; padding of more than half of the kernel; a sigma that is not positive and
        finite.

    References
    ----------
    Lecture 002 (types of pooling functions, the fourth).
    """
    return _weighted_pool(2, input, kernel_size, stride, padding, sigma, count_include_pad)


def weighted_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    sigma: float | None = None,
    count_include_pad: bool = True,
) -> Any:
    """As `weighted_pool2d`, for input (N, C, L)."""
    return _weighted_pool(1, input, kernel_size, stride, padding, sigma, count_include_pad)


def weighted_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    sigma: float | None = None,
    count_include_pad: bool = True,
) -> Any:
    """As `weighted_pool2d`, for input (N, C, D, H, W)."""
    return _weighted_pool(3, input, kernel_size, stride, padding, sigma, count_include_pad)
