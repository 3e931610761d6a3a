"""Max pooling in one, two and three dimensions, its gradient, and its global form."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from ..autograd import is_recording, primitive
from .arguments import (
    destination,
    format_of,
    image,
    memory_format_of,
    operand,
    per_axis,
    per_axis_pairs,
    sizes,
)

# kernel_size, stride, padding, dilation and ceil_mode, as `_core` takes them
Window = tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...], tuple[int, ...], bool]

# Where a maximum is, is told by its index in the image, or by the number of its tap in the window:
# one byte instead of eight, for gradients. Where taps do not serve, `_core` gives indices instead.


@primitive(extra=("places", "format"))
def _pool(
    op: str, input: Any, window: Window, wanted: str | None, memory_format: Any, out: Any
) -> Any:
    places: Any
    if wanted == "taps":
        output, places = _core.max_pool_with_taps(op, input, *window, memory_format, out)
    else:
        indices = wanted == "indices"
        output, places = _core.max_pool_forward(op, input, *window, indices, memory_format, out)
    return output, places, format_of(input)


@primitive
def _pool_grad(
    op: str, input_shape: Any, indices: Any, grad_output: Any, memory_format: Any, out: Any
) -> Any:
    return _core.max_pool_input_grad(op, input_shape, indices, grad_output, memory_format, out)


@primitive
def _taps_grad(
    op: str, input_shape: Any, taps: Any, grad_output: Any, window: Window, memory_format: Any
) -> Any:
    return _core.max_pool_taps_grad(
        op, input_shape, taps, grad_output, *window, memory_format, None
    )


@primitive
def _winners(op: str, input: Any, indices: Any) -> Any:
    """The elements of `input` at the indices of a max pool: the transpose of `_pool_grad`."""
    return _core.pick(op, input, indices)


def _indices_of(taps: Any, input_shape: Any, window: Window) -> Any:
    kernel, stride, padding, dilation, _ = window
    at = []
    for axis, tap in enumerate(np.unravel_index(taps, kernel)):
        first = np.arange(taps.shape[2 + axis]) * stride[axis] - padding[axis][0]
        later = (1,) * (taps.ndim - 3 - axis)
        at.append(first.reshape(-1, *later) + tap * dilation[axis])
    return np.ravel_multi_index(tuple(at), input_shape[2:])


@_pool.vjp("input")
def _(grad: Any, op: str, input_shape: Any, places: Any, window: Window, format: Any) -> Any:
    if places.dtype == np.uint8:
        return _taps_grad(op, input_shape, places, grad, window, format)
    return _pool_grad(op, input_shape, places, grad, format, None)


@_winners.vjp("input")
def _(grad: Any, op: str, input_shape: Any, indices: Any) -> Any:
    return _pool_grad(op, input_shape, indices, grad, None, None)


_pool_grad.vjp("grad_output")(lambda grad, op, indices: _winners(op, grad, indices))


@_taps_grad.vjp("grad_output")
def _(grad: Any, op: str, input_shape: Any, taps: Any, window: Window) -> Any:
    return _winners(op, grad, _indices_of(taps, input_shape, window))


def _max_pool(
    rank: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
    memory_format: Any,
    out: Any,
) -> Any:
    op = f"max_pool{rank}d"
    step = kernel_size if stride is None else stride
    ready = _core.try_max_pool_forward(
        op,
        input,
        kernel_size,
        step,
        padding,
        dilation,
        ceil_mode,
        return_indices,
        memory_format,
        out,
    )
    if ready is not NotImplemented:
        return ready if return_indices else ready[0]
    input = operand(op, "input", input)
    kernel = per_axis(op, "kernel_size", kernel_size, rank)
    window = (
        kernel,
        kernel if stride is None else per_axis(op, "stride", stride, rank),
        per_axis_pairs(op, "padding", padding, rank),
        per_axis(op, "dilation", dilation, rank),
        bool(ceil_mode),
    )
    memory_format = memory_format_of(op, memory_format)
    out = destination(op, out, input)
    wanted = "indices" if return_indices else "taps" if is_recording(input) else None
    output, places, _ = _pool(op, input, window, wanted, memory_format, out)
    return (output, places) if return_indices else output


def _max_pool_input_grad(
    rank: int, input_shape: Any, indices: Any, grad_output: Any, memory_format: Any, out: Any
) -> Any:
    op = f"max_pool{rank}d_input_grad"
    input_shape = sizes(op, "input_shape", input_shape)
    indices = np.asarray(indices)
    if indices.dtype != np.int64:
        raise TypeError(f"{op}: indices must be int64, as max_pool returns, got {indices.dtype}")
    grad_output = operand(op, "grad_output", grad_output)
    memory_format = memory_format_of(op, memory_format)
    out = destination(op, out, grad_output)
    return _pool_grad(op, input_shape, indices, grad_output, memory_format, out)


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Largest element of every window.

    ``y[n, c, i, j] = max over u, v of x[n, c, i * stride + u * dilation - padding, ...]``, where
    padding never wins. Of equal elements the first wins, and a NaN wins over everything.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H, W), float32 or float64
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        The kernel's size by default.
    padding : int, (h, w) or ((top, bottom), (left, right))
    dilation : int or (int, int)
    ceil_mode : bool
        Let windows run over the far edge, so that no element is left out (a window starts inside
        the input or its near padding).
    return_indices : bool
        Return the positions too: int64, flat over the input's spatial axes.
    memory_format, out
        As for `conv2d`.

    Returns
    -------
    ndarray, or Tensor for a Tensor; with `return_indices` a tuple (result, ndarray of int64)

    Raises
    ------
    TypeError
        An input that is not float32 or float64, or a number that is no int.
    ValueError
        A window that does not fit, a stride or dilation below one, negative padding.

    References
    ----------
    Lectures 000-003 (argmax, ragged edges, overlapping windows).
    """
    return _max_pool(
        2,
        input,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        return_indices,
        memory_format,
        out,
    )


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `max_pool2d`, for input (N, C, L)."""
    return _max_pool(
        1,
        input,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        return_indices,
        memory_format,
        out,
    )


def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `max_pool2d`, for input (N, C, D, H, W)."""
    return _max_pool(
        3,
        input,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        return_indices,
        memory_format,
        out,
    )


def max_pool2d_input_grad(
    input_shape: Any,
    indices: Any,
    grad_output: Any,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `max_pool2d`: every `grad_output` is added where its window's winner was.

    Parameters
    ----------
    input_shape : tuple of int
    indices : ndarray of int64
        As `max_pool2d` returns them.
    grad_output : array_like or Tensor, of the shape of `indices`
    memory_format, out
        As for `conv2d`.

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Of shape `input_shape`.

    Raises
    ------
    TypeError, ValueError
        Indices of another dtype, outside the input, or of another shape than `grad_output`.

    References
    ----------
    Lecture 000 ("+=" where windows overlap).
    """
    return _max_pool_input_grad(2, input_shape, indices, grad_output, memory_format, out)


def max_pool1d_input_grad(
    input_shape: Any,
    indices: Any,
    grad_output: Any,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `max_pool2d_input_grad`, for input (N, C, L)."""
    return _max_pool_input_grad(1, input_shape, indices, grad_output, memory_format, out)


def max_pool3d_input_grad(
    input_shape: Any,
    indices: Any,
    grad_output: Any,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `max_pool2d_input_grad`, for input (N, C, D, H, W)."""
    return _max_pool_input_grad(3, input_shape, indices, grad_output, memory_format, out)


def global_max_pool(input: Any) -> Any:
    """Largest element of every channel, spatial axes kept with size 1. Source: lecture 003.

    `input` is an array or Tensor (N, C, spatial...) with one to three spatial axes.
    """
    input, rank = image("global_max_pool", "input", input)
    return _max_pool(rank, input, input.shape[2:], None, 0, 1, False, False, None, None)
