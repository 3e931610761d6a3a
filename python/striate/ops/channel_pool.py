"""Pooling across channels instead of pixels."""

from __future__ import annotations

import math
from typing import Any

from .. import _core
from ..autograd import Tensor
from .arguments import integer, operand
from .max_pool import max_pool1d, max_pool2d


def channel_max_pool(input: Any, kernel_size: int) -> Any:
    """Largest of every `kernel_size` neighbouring channels, pixel by pixel ("maxout").

    ``y[n, c, i, j] = max over k < kernel_size of x[n, c * kernel_size + k, i, j]``. Pooling over
    convolutions with filters of their own lets a network learn what to become invariant to. Of
    equal channels the first wins.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, ...), float32 or float64
        Up to three spatial axes, or none.
    kernel_size : int
        Must divide C.

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Shape (N, C / kernel_size, ...).

    Raises
    ------
    TypeError, ValueError
        Another dtype or rank; channels that do not split; images without a pixel.

    References
    ----------
    Lecture 002 ("Learning other invariances").
    """
    op = "channel_max_pool"
    input = operand(op, "input", input)
    k = integer(op, "kernel_size", kernel_size)
    if not 2 <= len(input.shape) <= 5:
        raise ValueError(f"{op}: input must have 2 to 5 axes (N, C, ...), got shape {input.shape}")
    n, channels, *size = input.shape
    if k < 1 or channels < 1 or channels % k:
        raise ValueError(
            f"{op}: kernel_size must be positive and divide the channels, got {kernel_size} for "
            f"input {input.shape}"
        )
    pixels = math.prod(size)
    array = input.data if isinstance(input, Tensor) else input
    if size and _core.memory_format(array) == "channels_last":
        last = input.transpose((0, *range(2, 2 + len(size)), 1))
        pooled = max_pool1d(last.reshape((n, pixels, channels)), k)
        back = (0, 1 + len(size), *range(1, 1 + len(size)))
        return pooled.reshape((n, *size, channels // k)).transpose(back)
    planes = input.reshape((n, channels // k, k, pixels))
    return max_pool2d(planes, (k, 1)).reshape((n, channels // k, *size))
