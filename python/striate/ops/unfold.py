"""im2col and col2im under PyTorch's names: windows as columns, and the sum of columns as images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _core
from ..autograd import primitive
from .arguments import destination, format_of, image, memory_format_of, operand, per_axis
from .arguments import per_axis_pairs as pads_of

# kernel_size, dilation, padding and stride, as `_core` takes them
Window = tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...], tuple[int, ...]]


@primitive(extra=("format",))
def _unfold(input: Any, window: Window, out: Any) -> Any:
    return _core.unfold(input, *window, out), format_of(input)


@primitive
def _fold(input: Any, image_shape: Any, window: Window, memory_format: Any, out: Any) -> Any:
    return _core.fold(input, image_shape, *window, memory_format, out)


@_unfold.vjp("input")
def _(grad: Any, input_shape: Any, window: Any, format: Any) -> Any:
    return _fold(grad, input_shape, window, format, None)


_fold.vjp("input")(lambda grad, window: _unfold(grad, window, None)[0])


def _window(
    op: str, rank: int, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> Window:
    return (
        per_axis(op, "kernel_size", kernel_size, rank),
        per_axis(op, "dilation", dilation, rank),
        pads_of(op, "padding", padding, rank),
        per_axis(op, "stride", stride, rank),
    )


def unfold(
    input: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
    *,
    out: Any = None,
) -> Any:
    """Every window of an image as a column ("im2col").

    ``y[n, (c, u, v), (i, j)] = x[n, c, i * stride + u * dilation - padding, ...]``, with zeros
    outside the image: channel and tap number the rows, the windows the columns. A convolution is
    then one product of matrices, ``weight.reshape(O, -1) @ unfold(x, (KH, KW))``.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H, W), float32 or float64
        Or with one or three spatial axes.
    kernel_size, dilation, stride : int or one int a spatial axis
    padding : int, one int a spatial axis, or one pair (low, high) a spatial axis
    out : ndarray, optional
        Filled and returned; must not overlap the input.

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Shape (N, C KH KW, windows), C-contiguous.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    References
    ----------
    Lecture 001 (convolution as a product of matrices).
    """
    op = "unfold"
    input, rank = image(op, "input", input)
    window = _window(op, rank, kernel_size, dilation, padding, stride)
    return _unfold(input, window, destination(op, out, input))[0]


def fold(
    input: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Add columns up to images ("col2im"): the transpose of `unfold`, not its inverse.

    ``x[n, c, i * stride + u * dilation - padding, ...] += y[n, (c, u, v), (i, j)]``; what falls
    outside the image is lost. Where windows cover x, it is ``fold(unfold(x)) / fold(unfold(1))``.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C KH KW, windows), float32 or float64
    output_size : (int, int), or one to three ints
        Of the images; an int means two equal axes, as in PyTorch.
    kernel_size, dilation, padding, stride
        As for `unfold`.
    memory_format : {None, "contiguous", "channels_last"}
        Of the result; None is contiguous.
    out : ndarray, optional
        Filled and returned; must not overlap the input.

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Shape (N, C, *output_size).

    Raises
    ------
    TypeError, ValueError
        As `conv2d`; and where the input has not the shape that `unfold` would give.

    References
    ----------
    Lectures 000 and 001 (transposed convolution: windows add up where they overlap).
    """
    op = "fold"
    input = operand(op, "input", input)
    rank = len(tuple(output_size)) if np.iterable(output_size) else 2
    if not 1 <= rank <= 3:
        raise ValueError(f"{op}: output_size must be 1 to 3 ints, got {output_size!r}")
    size = per_axis(op, "output_size", output_size, rank)
    window = _window(op, rank, kernel_size, dilation, padding, stride)
    taps = math.prod(window[0])
    if len(input.shape) != 3 or taps < 1 or input.shape[1] % taps:
        raise ValueError(
            f"{op}: input must have shape (N, C * taps, windows), a multiple of {taps} taps for "
            f"kernel_size {window[0]}, got {input.shape}"
        )
    memory_format = memory_format_of(op, memory_format)
    shape = (input.shape[0], input.shape[1] // taps, *size)
    return _fold(input, shape, window, memory_format, destination(op, out, input))
