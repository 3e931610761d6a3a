"""Average pooling in one, two and three dimensions, its gradient, and its global form."""

from __future__ import annotations

from typing import Any

from .. import _core
from ..autograd import primitive
from .arguments import (
    destination,
    format_of,
    image,
    integer,
    memory_format_of,
    operand,
    per_axis,
    per_axis_pairs,
    sizes,
)

# kernel_size, stride, padding, ceil_mode, count_include_pad and divisor_override
Window = tuple[
    tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...], bool, bool, "int | None"
]


@primitive(extra=("format",))
def _pool(op: str, input: Any, window: Window, memory_format: Any, out: Any) -> Any:
    return _core.avg_pool_forward(op, input, *window, memory_format, out), format_of(input)


@primitive
def _pool_grad(
    op: str, input_shape: Any, grad_output: Any, window: Window, memory_format: Any, out: Any
) -> Any:
    return _core.avg_pool_input_grad(op, input_shape, grad_output, *window, memory_format, out)


@_pool.vjp("input")
def _(grad: Any, op: str, input_shape: Any, window: Window, format: Any) -> Any:
    return _pool_grad(op, input_shape, grad, window, format, None)


_pool_grad.vjp("grad_output")(lambda grad, op, window: _pool(op, grad, window, None, None)[0])


def _avg_window(
    op: str,
    rank: int,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: Any,
) -> Window:
    kernel = per_axis(op, "kernel_size", kernel_size, rank)
    return (
        kernel,
        kernel if stride is None else per_axis(op, "stride", stride, rank),
        per_axis_pairs(op, "padding", padding, rank),
        bool(ceil_mode),
        bool(count_include_pad),
        None if divisor_override is None else integer(op, "divisor_override", divisor_override),
    )


def _avg_pool(
    rank: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: Any,
    memory_format: Any,
    out: Any,
) -> Any:
    op = f"avg_pool{rank}d"
    step = kernel_size if stride is None else stride
    rules = (ceil_mode, count_include_pad, divisor_override)
    ready = _core.try_avg_pool_forward(
        op, input, kernel_size, step, padding, *rules, memory_format, out
    )
    if ready is not NotImplemented:
        return ready
    input = operand(op, "input", input)
    window = _avg_window(
        op, rank, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
    memory_format = memory_format_of(op, memory_format)
    return _pool(op, input, window, memory_format, destination(op, out, input))[0]


def _avg_pool_input_grad(
    rank: int,
    input_shape: Any,
    grad_output: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: Any,
    memory_format: Any,
    out: Any,
) -> Any:
    op = f"avg_pool{rank}d_input_grad"
    step = kernel_size if stride is None else stride
    rules = (ceil_mode, count_include_pad, divisor_override)
    ready = _core.try_avg_pool_input_grad(
        op, input_shape, grad_output, kernel_size, step, padding, *rules, memory_format, out
    )
    if ready is not NotImplemented:
        return ready
    input_shape = sizes(op, "input_shape", input_shape)
    grad_output = operand(op, "grad_output", grad_output)
    window = _avg_window(
        op, rank, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
    memory_format = memory_format_of(op, memory_format)
    out = destination(op, out, grad_output)
    return _pool_grad(op, input_shape, grad_output, window, memory_format, out)


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Mean of every window.

    ``y[n, c, i, j] = sum over u, v of x[n, c, i * stride + u - padding, ...] / divisor``

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H, W), float32 or float64
    kernel_size, stride, padding, ceil_mode, memory_format, out
        As for `max_pool2d`.
    count_include_pad : bool
        Whether the divisor counts the zeros of the padding.
    divisor_override : int, optional
        The divisor, whatever the window holds.

    Returns
    -------
    ndarray, or Tensor for a Tensor

    Raises
    ------
    TypeError, ValueError
        As `max_pool2d`.

    References
    ----------
    Lectures 000-003 (mean pooling is a channel-wise convolution with a uniform filter).
    """
    return _avg_pool(
        2,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        memory_format,
        out,
    )


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `avg_pool2d`, for input (N, C, L)."""
    return _avg_pool(
        1,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        memory_format,
        out,
    )


def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `avg_pool2d`, for input (N, C, D, H, W)."""
    return _avg_pool(
        3,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        memory_format,
        out,
    )


def avg_pool2d_input_grad(
    input_shape: Any,
    grad_output: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `avg_pool2d`: every `grad_output` is spread evenly over its window.

    Parameters
    ----------
    input_shape : tuple of int
    grad_output : array_like or Tensor, of the shape of the pool's result
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As for `avg_pool2d`.
    memory_format, out
        As for `conv2d`.

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Of shape `input_shape`.

    Raises
    ------
    TypeError, ValueError
        As `avg_pool2d`; and where `grad_output` has not the shape of the pool's result.

    References
    ----------
    Lectures 000 and 001.
    """
    return _avg_pool_input_grad(
        2,
        input_shape,
        grad_output,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        memory_format,
        out,
    )


def avg_pool1d_input_grad(
    input_shape: Any,
    grad_output: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `avg_pool2d_input_grad`, for input (N, C, L)."""
    return _avg_pool_input_grad(
        1,
        input_shape,
        grad_output,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        memory_format,
        out,
    )


def avg_pool3d_input_grad(
    input_shape: Any,
    grad_output: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `avg_pool2d_input_grad`, for input (N, C, D, H, W)."""
    return _avg_pool_input_grad(
        3,
        input_shape,
        grad_output,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        memory_format,
        out,
    )


def global_avg_pool(input: Any) -> Any:
    """Mean of every channel, spatial axes kept with size 1. Source: lecture 003.

    `input` is an array or Tensor (N, C, spatial...) with one to three spatial axes.
    """
    input, rank = image("global_avg_pool", "input", input)
    return _avg_pool(rank, input, input.shape[2:], None, 0, False, True, None, None, None)
