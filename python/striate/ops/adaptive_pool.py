"""Adaptive pools: the size of the result is given, windows follow from it.

Window i of m on an axis of n pixels reaches from floor(i n / m) to ceil((i + 1) n / m). Where m
divides n these are plain windows; else the windows are laid side by side by a table, the short ones
filled up, and pooled as plain windows of the longest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arguments import image, integer
from .avg_pool import _avg_window
from .avg_pool import _pool as _mean
from .max_pool import _max_pool
from .take import take


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
    if max(result) >= 2**31:
        raise ValueError(f"{op}: output_size must be below 2^31, got {value!r}")
    return result


def _windows(n: int, m: int) -> tuple[Any, Any]:
    """First positions, and lengths."""
    i = np.arange(m)
    first = i * n // m
    return first, -(-(i + 1) * n // m) - first


def _side_by_side(n: int, m: int) -> tuple[Any, Any, int]:
    """Positions of all windows (m, longest), whether they are inside, and the longest."""
    first, length = _windows(n, m)
    longest = int(length.max())
    tap = np.arange(longest)
    return first[:, None] + tap, tap < length[:, None], longest


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
    tables, kernel, counts = [], (), np.ones(())
    for n, m in zip(size, result, strict=True):
        at, inside, longest = _side_by_side(n, m)
        tables.append(np.where(inside, at, -1).ravel().tolist())
        kernel = (*kernel, longest)
        counts = np.multiply.outer(counts, inside.sum(1))
    sums = take(op, input, tables, None, None)[0]
    # rows first, whose sums are of whole vectors; the columns of a row that is left are few
    for part in ((*kernel[:-1], 1), (*(1,) * (rank - 1), kernel[-1])):
        if max(part) > 1:
            window = _avg_window(op, rank, part, None, 0, False, True, 1)
            sums = _mean(op, sums, window, None, None)[0]
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
    tables, kernel = [], ()
    for n, m in zip(size, result, strict=True):
        at, inside, longest = _side_by_side(n, m)
        last = at[:, :1] + inside.sum(1, keepdims=True) - 1
        tables.append(np.minimum(at, last).ravel())  # copies of the last never win over it
        kernel = (*kernel, longest)
    wide = take(op, input, [table.tolist() for table in tables], None, None)[0]
    pooled = _max_pool(rank, wide, kernel, None, 0, 1, False, return_indices, None, None)
    if not return_indices:
        return pooled
    values, indices = pooled
    found_at = np.unravel_index(indices, wide.shape[2:])
    at = tuple(table[positions] for table, positions in zip(tables, found_at, strict=True))
    return values, np.ravel_multi_index(at, size)


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
