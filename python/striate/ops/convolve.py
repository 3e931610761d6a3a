"""Convolution as mathematics defines it, and the matrix that a convolution is."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..autograd import Tensor, primitive
from .arguments import image, integer, operand, padding_pairs, per_axis
from .conv import _conv


@primitive
def _flip(weight: Any) -> Any:
    return np.flip(weight, tuple(range(2, weight.ndim)))


_flip.vjp("weight")(lambda grad: _flip(grad))


def convolve(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    exact: bool = False,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Convolution proper, with the filter flipped, in one to three dimensions.

    ``y[n, o, i, j] = bias[o] + sum over c, u, v of w[o, c, u, v]
    x[n, c, i * stride + (KH - 1 - u) * dilation - padding, ...]``

    What `conv2d` and network libraries call convolution is cross-correlation, this with
    ``w[:, :, ::-1, ::-1]``; learnt filters come out flipped, nothing else changes. With
    ``padding="full"`` and one channel it is `numpy.convolve`.

    Parameters
    ----------
    input, weight, bias, stride, padding, dilation, groups, exact, memory_format, out
        As for `conv1d`, `conv2d` and `conv3d`; the input's axes tell the rank.

    Returns
    -------
    ndarray, or Tensor where an operand is one

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    References
    ----------
    Lectures 000, 003 (convolution versus cross-correlation).
    """
    op = "convolve"
    input, rank = image(op, "input", input)
    flipped = _flip(operand(op, "weight", weight))
    return _conv(
        op,
        rank,
        input,
        flipped,
        bias,
        None,
        None,
        stride,
        padding,
        dilation,
        groups,
        exact,
        None,
        memory_format,
        out,
    )


class SparseMatrix(NamedTuple):
    """A matrix as triplets, for study: ``matrix[rows[i], columns[i]] += values[i]``.

    `shape` is (rows, columns) of the whole; ``.T`` its transpose, ``@`` its product.
    """

    rows: Any
    columns: Any
    values: Any
    shape: tuple[int, int]

    def toarray(self) -> Any:
        """All of it, zeros included."""
        dense = np.zeros(self.shape, self.values.dtype)
        np.add.at(dense, (self.rows, self.columns), self.values)
        return dense

    @property
    def T(self) -> SparseMatrix:
        return SparseMatrix(self.columns, self.rows, self.values, self.shape[::-1])

    def __matmul__(self, other: Any) -> Any:
        """The product with a vector, or with a matrix whose columns are vectors."""
        other = np.asarray(other)
        if other.ndim not in (1, 2) or other.shape[0] != self.shape[1]:
            raise ValueError(
                f"SparseMatrix: a matrix of shape {self.shape} cannot be multiplied by an array of "
                f"shape {other.shape}"
            )
        terms = other[self.columns] * self.values.reshape(-1, *(1,) * (other.ndim - 1))
        product = np.zeros((self.shape[0], *other.shape[1:]), terms.dtype)
        np.add.at(product, self.rows, terms)
        return product


def conv_matrix(
    weight: Any,
    input_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> SparseMatrix:
    """The matrix of a convolution: ``conv2d(x, w).ravel() == matrix @ x.ravel()``.

    Rows are the outputs (o, i, j), columns the inputs (c, i, j) of one image, both flat in C order.
    Each row holds the filter, stretched to the image's rows and moved to its place. The transpose
    is the matrix of `conv_transpose2d` with the same weight.

    Parameters
    ----------
    weight : array_like or Tensor, shape (O, C / groups, spatial...)
    input_size : int or one int a spatial axis
        Of the image.
    stride, padding, dilation, groups
        As for `conv2d`.

    Returns
    -------
    SparseMatrix
        Triplets `rows`, `columns`, `values`; knows ``.toarray()``, ``.T`` and ``@``.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    References
    ----------
    Lecture 001 (a 3 x 3 filter on 4 x 4 pixels is a 4 x 16 matrix).
    """
    op = "conv_matrix"
    weight, rank = image(op, "weight", weight)
    values = weight.data if isinstance(weight, Tensor) else weight
    kernel = values.shape[2:]
    size = per_axis(op, "input_size", input_size, rank)
    steps = per_axis(op, "stride", stride, rank)
    holes = per_axis(op, "dilation", dilation, rank)
    groups = integer(op, "groups", groups)
    if min(*size, *steps, *holes, *values.shape, groups) < 1 or values.shape[0] % groups:
        raise ValueError(
            f"{op}: input_size, stride, dilation and the weight's sizes must be positive, and "
            f"groups divide the outputs, got {size}, {steps}, {holes}, {values.shape}, {groups}"
        )
    pads = padding_pairs(op, padding, size, kernel, steps, holes)
    outs = [
        (n + low + high - d * (k - 1) - 1) // s + 1
        for n, k, s, d, (low, high) in zip(size, kernel, steps, holes, pads, strict=True)
    ]
    if max(*size, *map(max, pads)) >= 2**31:
        raise ValueError(
            f"{op}: input_size and padding must be below 2^31, got {size}, padding {pads}"
        )
    if min(map(min, pads)) < 0 or min(outs) < 1:
        raise ValueError(
            f"{op}: padding must not be negative, nor the kernel {kernel} larger than the padded "
            f"input, got input_size {size}, padding {pads}, dilation {holes}"
        )
    of_group, out_pixels, in_pixels = values.shape[0] // groups, math.prod(outs), math.prod(size)
    output, channel = np.divmod(np.arange(values.shape[0] * values.shape[1]), values.shape[1])
    channel = channel + output // of_group * values.shape[1]
    parts = []
    for tap in np.ndindex(*kernel):
        at = [
            np.arange(m) * s + t * d - low
            for m, s, t, d, (low, _) in zip(outs, steps, tap, holes, pads, strict=True)
        ]
        row, column = np.zeros(1, np.int64), np.zeros(1, np.int64)
        for m, n, positions in zip(outs, size, at, strict=True):
            seen = np.flatnonzero((positions >= 0) & (positions < n))
            row = np.add.outer(row * m, seen).ravel()
            column = np.add.outer(column * n, positions[seen]).ravel()
        parts.append(
            (
                np.add.outer(output * out_pixels, row).ravel(),
                np.add.outer(channel * in_pixels, column).ravel(),
                np.repeat(values[(..., *tap)].ravel(), row.size),
            )
        )
    rows, columns, entries = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((columns, rows))
    shape = (values.shape[0] * out_pixels, values.shape[1] * groups * in_pixels)
    return SparseMatrix(rows[order], columns[order], entries[order], shape)
