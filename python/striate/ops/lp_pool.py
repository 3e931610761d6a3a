"""Pools that add up: sums of windows, and their p-norms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import Tensor, primitive
from ..autograd.arithmetic import multiply
from .arguments import destination, memory_format_of, operand, per_axis, real
from .avg_pool import _avg_window, _pool


@primitive
def _power(input: Any, exponent: float) -> Any:
    """As `x**exponent`; a negative number has no broken power: NaN, without a warning."""
    if exponent == 2.0:
        return multiply(input, input)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.power(input, input.dtype.type(exponent))


@primitive
def _root(sums: Any, degree: float) -> Any:
    if degree == 2.0:
        with np.errstate(invalid="ignore"):
            return np.sqrt(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.power(sums, sums.dtype.type(1.0 / degree))


@_power.vjp("input")
def _(grad: Any, input: Any, exponent: float) -> Any:
    factor = input.dtype.type(exponent)
    if exponent >= 1.0:
        return grad * factor * _power(input, exponent - 1.0)
    # infinitely steep at 0, where it counts as flat; 1 stands in for the 0
    zero = np.asarray((input.data if isinstance(input, Tensor) else input) == 0, input.dtype)
    return grad * factor * (1 - zero) * _power(input + zero, exponent - 1.0)


@_root.vjp("sums")
def _(grad: Any, output: Any, sums: Any, degree: float) -> Any:
    # sums ** (1 / degree) / (degree sums); where nothing was added up no input has a share
    empty = (sums.data if isinstance(sums, Tensor) else sums) == 0
    return grad * output / ((sums + empty.astype(sums.dtype)) * sums.dtype.type(degree))


def _sum_pool(
    rank: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    memory_format: Any,
    out: Any,
) -> Any:
    op = f"sum_pool{rank}d"
    input = operand(op, "input", input)
    window = _avg_window(op, rank, kernel_size, stride, padding, ceil_mode, True, 1)
    memory_format = memory_format_of(op, memory_format)
    return _pool(op, input, window, memory_format, destination(op, out, input))[0]


def _lp_pool(
    rank: int, input: Any, norm_type: Any, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Any:
    op = f"lp_pool{rank}d"
    input = operand(op, "input", input)
    p = real(op, "norm_type", norm_type)
    if not 0.0 < p < math.inf:
        raise ValueError(f"{op}: norm_type must be positive and finite, got {norm_type!r}")
    kernel = per_axis(op, "kernel_size", kernel_size, rank)
    # A window that runs over the edge counts as a whole one of the same mean, as in PyTorch.
    divisor = None if ceil_mode else 1
    window = _avg_window(op, rank, kernel, stride, 0, ceil_mode, True, divisor)
    sums = _pool(op, input if p == 1.0 else _power(input, p), window, None, None)[0]
    if ceil_mode:
        sums = sums * sums.dtype.type(math.prod(kernel))
    return sums if p == 1.0 else _root(sums, p)


def sum_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Sum of every window: ``y[n, c, i, j] = sum over u, v of x[n, c, i * stride + u - padding]``.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H, W), float32 or float64
    kernel_size, stride, padding, ceil_mode, memory_format, out
        As for `max_pool2d`.

    Returns
    -------
    ndarray, or Tensor for a Tensor

    Raises
    ------
    TypeError, ValueError
        As `max_pool2d`.

    References
    ----------
    Lecture 002 ("sum or max over non-overlapping / overlapping regions").
    """
    return _sum_pool(2, input, kernel_size, stride, padding, ceil_mode, memory_format, out)


def sum_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `sum_pool2d`, for input (N, C, L)."""
    return _sum_pool(1, input, kernel_size, stride, padding, ceil_mode, memory_format, out)


def sum_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `sum_pool2d`, for input (N, C, D, H, W)."""
    return _sum_pool(3, input, kernel_size, stride, padding, ceil_mode, memory_format, out)


def lp_pool2d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """p-norm of every window: ``y[n, c, i, j] = (sum over u, v of x[...] ** p) ** (1 / p)``.

    As in PyTorch no absolute value is taken: with an odd p negative inputs subtract, a negative sum
    has no root (NaN), and with ``p = 1`` this is `sum_pool2d`. Of a root of 0 the gradient is 0,
    and with p < 1 that of an input of 0 too.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H, W), float32 or float64
    norm_type : float
        p, positive; 2 gives the L2 norm.
    kernel_size, stride
        As for `max_pool2d`.
    ceil_mode : bool
        Let windows run over the far edge; their sums count as those of whole windows with the same
        mean, as in PyTorch.

    Returns
    -------
    ndarray, or Tensor for a Tensor

    Raises
    ------
    TypeError, ValueError
        As `max_pool2d`; and where norm_type is not positive and finite.

    References
    ----------
    Lecture 002 (L2 norm of a rectangular neighbourhood).
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool1d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """As `lp_pool2d`, for input (N, C, L)."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """As `lp_pool2d`, for input (N, C, D, H, W)."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)
