"""Adaptive pools: the size of the result is given, windows follow from it.

Window i of m on an axis of n pixels reaches from floor(i n / m) to ceil((i + 1) n / m). Where m
divides n these are plain windows. Else sums are a resampling, and maxima a kernel of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from ..autograd import primitive
from .arguments import format_of, image, integer
from .avg_pool import _avg_window
from .avg_pool import _pool as _mean
from .max_pool import _max_pool, _pool_grad
from .resample import _interpolate


def _output_size(op: str, rank: int, value: Any, size: tuple[int, ...]) -> tuple[int, ...]:
    given = tuple(value) if np.iterable(value) and not isinstance(value, str) else (value,) * rank
    if len(given) != rank:
        raise ValueError(f"{op}: output_size must be an int or {rank} ints or None, got {value!r}")
    result = tuple(
        n if entry is None else integer(op, "output_size", entry)
        for n, entry in zip(size, given, strict=True)
    )
    if min(result) < 1 or min(size) < 1:
        raise ValueError(
            f"{op}: output_size and the input's spatial axes must be positive, got {value!r} for "
            f"{size}"
        )
    if max(result) >= 2**29:
        raise ValueError(f"{op}: output_size must be below 2^29, got {value!r}")
    return result


def _lengths(n: int, m: int) -> Any:
    i = np.arange(m)
    return -(-(i + 1) * n // m) - i * n // m


@primitive(extra=("places", "format"))
def _largest(op: str, input: Any, output_size: tuple[int, ...]) -> Any:
    output, places = _core.adaptive_max_pool(op, input, output_size)
    return output, places, format_of(input)


@_largest.vjp("input")
def _(grad: Any, op: str, input_shape: Any, places: Any, format: Any) -> Any:
    return _pool_grad(op, input_shape, places, grad, format, None)


def _adaptive_avg_pool(rank: int, input: Any, output_size: Any) -> Any:
    op = f"adaptive_avg_pool{rank}d"
    input, found = image(op, "input", input)
    if found != rank:
        raise ValueError(f"{op}: input must have {rank + 2} axes, got shape {input.shape}")
    size = input.shape[2:]
    result = _output_size(op, rank, output_size, size)
    if all(n % m == 0 for n, m in zip(size, result, strict=True)):
        kernel = tuple(n // m for n, m in zip(size, result, strict=True))
        window = _avg_window(op, rank, kernel, None, 0, False, True, None)
        return _mean(op, input, window, None, None)[0]
    counts = np.ones(())
    for n, m in zip(size, result, strict=True):
        counts = np.multiply.outer(counts, _lengths(n, m))
    sums = _interpolate(input, result, (None, "area-sum", False, False), None, None)
    return sums / counts.astype(input.dtype)


def _adaptive_max_pool(rank: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    op = f"adaptive_max_pool{rank}d"
    input, found = image(op, "input", input)
    if found != rank:
        raise ValueError(f"{op}: input must have {rank + 2} axes, got shape {input.shape}")
    size = input.shape[2:]
    result = _output_size(op, rank, output_size, size)
    if all(n % m == 0 for n, m in zip(size, result, strict=True)):
        kernel = tuple(n // m for n, m in zip(size, result, strict=True))
        return _max_pool(rank, input, kernel, None, 0, 1, False, return_indices, None, None)
    output, places, _ = _largest(op, input, result)
    return (output, places) if return_indices else output


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Mean of windows that give the size wanted.

    ``y[n, c, i, j] = mean of x[n, c, floor(i H / h) : ceil((i + 1) H / h), ...]``

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H, W), float32 or float64
    output_size : int or (int, int)
        (h, w); None keeps the size of an axis.

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Shape (N, C, h, w), in the input's memory format.

    Raises
    ------
    TypeError, ValueError
        Another dtype or rank; sizes below one (PyTorch gives an empty result for 0).

    References
    ----------
    Lecture 003 (global pooling is the case of size 1).
    """
    return _adaptive_avg_pool(2, input, output_size)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """As `adaptive_avg_pool2d`, for input (N, C, L)."""
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """As `adaptive_avg_pool2d`, for input (N, C, D, H, W)."""
    return _adaptive_avg_pool(3, input, output_size)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Largest element of windows that give the size wanted.

    ``y[n, c, i, j] = max of x[n, c, floor(i H / h) : ceil((i + 1) H / h), ...]``. Of equal elements
    the first wins, and a NaN wins over everything.

    Parameters
    ----------
    input, output_size
        As for `adaptive_avg_pool2d`.
    return_indices : bool
        Return the positions too: int64, flat over the input's spatial axes.

    Returns
    -------
    ndarray, or Tensor for a Tensor; with `return_indices` a tuple (result, ndarray of int64)

    Raises
    ------
    TypeError, ValueError
        As `adaptive_avg_pool2d`.

    References
    ----------
    Lecture 003 (global pooling is the case of size 1).
    """
    return _adaptive_max_pool(2, input, output_size, return_indices)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """As `adaptive_max_pool2d`, for input (N, C, L)."""
    return _adaptive_max_pool(1, input, output_size, return_indices)


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """As `adaptive_max_pool2d`, for input (N, C, D, H, W)."""
    return _adaptive_max_pool(3, input, output_size, return_indices)
