"""Normalisation by neighbours and by length: local response norm, and vectors of norm 1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd.arithmetic import multiply, reduce_max
from .arguments import axis_of, format_of, image, integer, operand, real
from .avg_pool import avg_pool2d


def _data(input: Any) -> Any:
    return input.data if isinstance(input, Tensor) else input


def _sum_of_neighbours(input: Any, size: int) -> Any:
    """The sum over `size` channels around each: a pool along the channels, as they lie."""
    last = format_of(_data(input)) == "channels_last"
    rank = len(input.shape)
    around = (size // 2, (size - 1) // 2)
    if last:
        input = input.transpose(0, *range(2, rank), 1)
    shape = input.shape
    if last:
        rows, kernel, pads = (shape[0], 1, -1, shape[-1]), (1, size), ((0, 0), around)
    else:
        rows, kernel, pads = (shape[0], 1, shape[1], -1), (size, 1), (around, (0, 0))
    if 0 in shape:  # -1 has no meaning then
        return input.transpose(0, rank - 1, *range(1, rank - 1)) if last else input
    sums = avg_pool2d(input.reshape(rows), kernel, 1, pads, divisor_override=1).reshape(shape)
    return sums.transpose(0, rank - 1, *range(1, rank - 1)) if last else sums


def local_response_norm(
    input: Any,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    average: bool = True,
) -> Any:
    """Divide every activation by the power of its neighbours in other channels.

    ``y[c] = x[c] / (k + alpha * m[c]) ** beta``, where m[c] is the mean of the squares of `size`
    channels, from ``c - size // 2`` to ``c + (size - 1) // 2``, with zeros beyond the ends. With
    ``average=False`` it is their sum, as AlexNet's authors write it (size 5, alpha 1e-4, beta
    0.75, k 2): PyTorch's alpha is then theirs times the size.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, spatial...), float32 or float64
    size : int
        Positive.
    alpha, beta, k : float
    average : bool

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Of the input's shape.

    Raises
    ------
    TypeError, ValueError
        Another dtype or number of axes; a size below 1.

    References
    ----------
    Lectures 000 and 002 (AlexNet, VGG A-LRN); Krizhevsky, Sutskever and Hinton 2012.
    """
    op = "local_response_norm"
    input, _ = image(op, "input", input)
    size = integer(op, "size", size)
    alpha, beta, k = real(op, "alpha", alpha), real(op, "beta", beta), real(op, "k", k)
    if size < 1:
        raise ValueError(f"{op}: size must be positive, got {size}")
    power = (
        _sum_of_neighbours(multiply(input, input), size) * (alpha / size if average else alpha) + k
    )
    return multiply(input, power ** (-beta))


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """Vectors of norm 1 along axis `dim`: ``x / max(norm(x), eps)``.

    Parameters
    ----------
    input : array_like or Tensor, float32 or float64
    p : float
        Of the norm ``sum(|x| ** p) ** (1 / p)``; positive, `math.inf` for the largest of |x|.
    dim : int
    eps : float
        Positive: what is shorter keeps its direction, and its gradient stays finite. With p < 1
        an element of 0 has no share in the slope of the norm, as in PyTorch.

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Of the input's shape.

    Raises
    ------
    TypeError, ValueError
        Another dtype; an axis that does not exist; p or eps that are not positive.

    References
    ----------
    Lecture 002 (L2-norm).
    """
    op = "normalize"
    input = operand(op, "input", input)
    p, eps = real(op, "p", p), real(op, "eps", eps)
    dim = axis_of(op, "dim", dim, len(input.shape))
    if not p > 0 or not eps > 0:
        raise ValueError(f"{op}: p and eps must be positive, got {p}, {eps}")
    data = _data(input)
    number = data.dtype.type
    size = input if p == 2 else input * np.sign(data)  # |x|
    if not data.size:
        return input * 1.0
    if p == math.inf:
        norm = reduce_max(size, dim)[0]
        long = np.asarray(~(_data(norm) <= eps), data.dtype)  # NaN is not short
    else:
        if p < 2:  # 0 ** (p - 2) has no value: 1 stands in for the 0
            zero = np.asarray(data == 0, data.dtype)
            parts = (size + zero) ** p * (1 - zero)
        else:
            parts = size * size if p == 2 else size**p
        powers = parts.sum(dim, keepdims=True)
        # In float64, where a tiny eps to the power p is not 0 yet.
        lengths = _data(powers).astype(np.float64) ** (1.0 / p)
        long = np.asarray(~(lengths <= eps), data.dtype)
        norm = (powers * long + (1 - long)) ** (1.0 / p)  # a root of 0 has no slope
    return input / (norm * long + number(eps) * (1 - long))
