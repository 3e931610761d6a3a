"""The gradients of convolution as functions of their own, for those who drive them by hand."""

from __future__ import annotations

from typing import Any

from .. import _core
from .arguments import destination, memory_format_of, operand, packed_weights_of, sizes
from .conv import channel_sum, form_of, input_grad, weight_grad


def conv_bias_grad(grad_output: Any, *, out: Any = None) -> Any:
    """Gradient of a convolution's bias: `grad_output` (N, O, ...) summed over all axes but O.

    ``sum over n, i, j of grad_output[n, o, i, j]``, of shape (O,); `out` is an ndarray to fill.

    Source: lecture 000.
    """
    op = "conv_bias_grad"
    grad_output = operand(op, "grad_output", grad_output)
    return channel_sum(op, grad_output, destination(op, out, grad_output))


def _conv_input_grad(
    op: str,
    rank: int,
    input_shape: Any,
    weight: Any,
    grad_output: Any,
    bias: None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    exact: Any,
    workspace: Any,
    memory_format: Any,
    out: Any,
) -> Any:
    input_shape = sizes(op, "input_shape", input_shape)
    weight = operand(op, "weight", weight)
    grad_output = operand(op, "grad_output", grad_output)
    memory_format = memory_format_of(op, memory_format)
    out = destination(op, out, weight, grad_output)
    form = form_of(
        op, rank, input_shape, weight.shape, stride, padding, dilation, groups, exact, workspace
    )
    packed = packed_weights_of(weight, grad_output)
    return input_grad(op, input_shape, weight, grad_output, bias, form, memory_format, out, packed)


def _conv_weight_grad(
    op: str,
    rank: int,
    input: Any,
    weight_shape: Any,
    grad_output: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    exact: Any,
    workspace: Any,
    out: Any,
) -> Any:
    input = operand(op, "input", input)
    weight_shape = sizes(op, "weight_shape", weight_shape)
    grad_output = operand(op, "grad_output", grad_output)
    out = destination(op, out, input, grad_output)
    form = form_of(
        op, rank, input.shape, weight_shape, stride, padding, dilation, groups, exact, workspace
    )
    return weight_grad(op, input, weight_shape, grad_output, form, out)


def conv2d_input_grad(
    input_shape: Any,
    weight: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    exact: bool = False,
    workspace: int | None = None,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `conv2d` with respect to its input.

    ``dx[n, c, a, b] = sum of dy[n, o, i, j] w[o, c, u, v]`` over all o and all (i, u), (j, v) with
    ``i * stride + u * dilation - padding = a`` (and so for b): the full convolution of `dy` with
    the flipped, transposed filter.

    Parameters
    ----------
    input_shape : tuple of int
        Shape (N, C, H, W) of the input; several shapes give the same output when stride > 1.
    weight : array_like or Tensor, shape (O, C / groups, KH, KW)
    grad_output : array_like or Tensor, shape of the convolution's result
    stride, padding, dilation, groups, exact, workspace, memory_format, out
        As for `conv2d`.

    Returns
    -------
    ndarray, or Tensor where an operand is one
        Of shape `input_shape`.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`; and where `grad_output` is not the shape that `conv2d` would return.

    References
    ----------
    Lecture 000 (backward by scanning), 002-004 (flipped, transposed filter).
    """
    args = (
        "conv2d_input_grad",
        2,
        input_shape,
        weight,
        grad_output,
        None,
        stride,
        padding,
        dilation,
        groups,
        exact,
        workspace,
        memory_format,
        out,
    )
    result = _core.try_conv_input_grad(*args)
    return result if result is not NotImplemented else _conv_input_grad(*args)


def conv1d_input_grad(
    input_shape: Any,
    weight: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    exact: bool = False,
    workspace: int | None = None,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `conv2d_input_grad`, for input_shape (N, C, L) and weight (O, C / groups, K)."""
    args = (
        "conv1d_input_grad",
        1,
        input_shape,
        weight,
        grad_output,
        None,
        stride,
        padding,
        dilation,
        groups,
        exact,
        workspace,
        memory_format,
        out,
    )
    result = _core.try_conv_input_grad(*args)
    return result if result is not NotImplemented else _conv_input_grad(*args)


def conv3d_input_grad(
    input_shape: Any,
    weight: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    exact: bool = False,
    workspace: int | None = None,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `conv2d_input_grad`, for input_shape (N, C, D, H, W) and
    weight (O, C / groups, KD, KH, KW)."""
    args = (
        "conv3d_input_grad",
        3,
        input_shape,
        weight,
        grad_output,
        None,
        stride,
        padding,
        dilation,
        groups,
        exact,
        workspace,
        memory_format,
        out,
    )
    result = _core.try_conv_input_grad(*args)
    return result if result is not NotImplemented else _conv_input_grad(*args)


def conv2d_weight_grad(
    input: Any,
    weight_shape: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    exact: bool = False,
    workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `conv2d` with respect to its weight: the input correlated with `grad_output`.

    ``dw[o, c, u, v] = sum over n, i, j of dy[n, o, i, j]
    x[n, c, i * stride + u * dilation - padding, j * stride + v * dilation - padding]``

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H, W)
    weight_shape : tuple of int
        (O, C / groups, KH, KW)
    grad_output : array_like or Tensor, shape of the convolution's result
    stride, padding, dilation, groups, exact, workspace, out
        As for `conv2d`.

    Returns
    -------
    ndarray, or Tensor where an operand is one
        Of shape `weight_shape`.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`; and where `grad_output` is not the shape that `conv2d` would return.

    References
    ----------
    Lecture 000 (backward by scanning), 002-004 (correlation with the output gradient).
    """
    args = (
        "conv2d_weight_grad",
        2,
        input,
        weight_shape,
        grad_output,
        stride,
        padding,
        dilation,
        groups,
        exact,
        workspace,
        out,
    )
    result = _core.try_conv_weight_grad(*args)
    return result if result is not NotImplemented else _conv_weight_grad(*args)


def conv1d_weight_grad(
    input: Any,
    weight_shape: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    exact: bool = False,
    workspace: int | None = None,
    out: Any = None,
) -> Any:
    """As `conv2d_weight_grad`, for input (N, C, L)."""
    args = (
        "conv1d_weight_grad",
        1,
        input,
        weight_shape,
        grad_output,
        stride,
        padding,
        dilation,
        groups,
        exact,
        workspace,
        out,
    )
    result = _core.try_conv_weight_grad(*args)
    return result if result is not NotImplemented else _conv_weight_grad(*args)


def conv3d_weight_grad(
    input: Any,
    weight_shape: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    exact: bool = False,
    workspace: int | None = None,
    out: Any = None,
) -> Any:
    """As `conv2d_weight_grad`, for input (N, C, D, H, W)."""
    args = (
        "conv3d_weight_grad",
        3,
        input,
        weight_shape,
        grad_output,
        stride,
        padding,
        dilation,
        groups,
        exact,
        workspace,
        out,
    )
    result = _core.try_conv_weight_grad(*args)
    return result if result is not NotImplemented else _conv_weight_grad(*args)
