"""Max unpooling: maxima go back to where they were found, among zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from ..autograd import primitive
from .arguments import destination, format_of, image, memory_format_of, per_axis, sizes
from .max_pool import _winners


@primitive(extra=("format",))
def _unpool(op: str, input: Any, indices: Any, shape: Any, memory_format: Any, out: Any) -> Any:
    unpooled = _core.max_unpool(op, input, indices, shape, memory_format, out)
    return unpooled, format_of(input)


_unpool.vjp("input")(lambda grad, op, indices: _winners(op, grad, indices))


def _max_unpool(
    rank: int,
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
    memory_format: Any,
    out: Any,
) -> Any:
    op = f"max_unpool{rank}d"
    input, found = image(op, "input", input)
    if found != rank:
        raise ValueError(f"{op}: input must have {rank + 2} axes, got shape {input.shape}")
    indices = np.asarray(indices)
    if indices.dtype != np.int64:
        raise TypeError(f"{op}: indices must be int64, as max_pool returns, got {indices.dtype}")
    kernel = per_axis(op, "kernel_size", kernel_size, rank)
    steps = kernel if stride is None else per_axis(op, "stride", stride, rank)
    pads = per_axis(op, "padding", padding, rank)
    if min(kernel) < 1 or min(steps) < 1 or min(pads) < 0:
        raise ValueError(
            f"{op}: kernel_size and stride must be positive, padding must not be negative, got "
            f"{kernel}, {steps}, {pads}"
        )
    usual = [
        (n - 1) * s - 2 * p + k
        for n, k, s, p in zip(input.shape[2:], kernel, steps, pads, strict=True)
    ]
    if output_size is None:
        size = sizes(op, "output size", usual)
    else:
        size = sizes(op, "output_size", output_size)
        if len(size) == rank + 2:
            size = size[2:]
        if len(size) != rank or any(
            not u - s < m < u + s for m, u, s in zip(size, usual, steps, strict=True)
        ):
            raise ValueError(
                f"{op}: output_size must differ from {tuple(usual)} by less than the stride "
                f"{steps}, got {output_size!r}"
            )
    shape = (*input.shape[:2], *size)
    memory_format = memory_format_of(op, memory_format)
    return _unpool(op, input, indices, shape, memory_format, destination(op, out, input))[0]


def max_unpool2d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Write every element to the pixel its index names, zero elsewhere: ``y[indices[i]] = x[i]``.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H, W), float32 or float64
        What `max_pool2d` gave, or something made of it.
    indices : ndarray of int64, of the input's shape
        As `max_pool2d` gives them: flat over the spatial axes of the result. Of equal indices (of
        windows that overlap) the last in row-major order is kept; each receives the gradient.
    kernel_size, stride, padding
        Of the pool. They decide only the size: (H - 1) * stride - 2 * padding + kernel_size.
    output_size : tuple of int, optional
        The size itself (or the shape), which a pool that rounds down has forgotten; it differs from
        the usual by less than the stride.
    memory_format, out
        As for `conv2d`.

    Returns
    -------
    ndarray, or Tensor for a Tensor

    Raises
    ------
    TypeError, ValueError
        Indices of another dtype or shape, or outside the result; an output size that does not fit.

    References
    ----------
    Lecture 001 (unpooling: "have to store which element was max").
    """
    return _max_unpool(
        2, input, indices, kernel_size, stride, padding, output_size, memory_format, out
    )


def max_unpool1d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `max_unpool2d`, for input (N, C, L)."""
    return _max_unpool(
        1, input, indices, kernel_size, stride, padding, output_size, memory_format, out
    )


def max_unpool3d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `max_unpool2d`, for input (N, C, D, H, W)."""
    return _max_unpool(
        3, input, indices, kernel_size, stride, padding, output_size, memory_format, out
    )
