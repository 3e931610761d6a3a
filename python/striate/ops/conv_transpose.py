"""Transposed convolution: the input gradient of a convolution, used forwards to enlarge."""

from __future__ import annotations

from typing import Any

from .arguments import (
    destination,
    memory_format_of,
    operand,
    packed_weights_of,
    per_axis,
    same_dtype,
    sizes,
)
from .conv import form_of, input_grad


def _conv_transpose(
    op: str,
    rank: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
    exact: Any,
    workspace: Any,
    memory_format: Any,
    out: Any,
) -> Any:
    input = operand(op, "input", input)
    weight = operand(op, "weight", weight)
    bias = None if bias is None else operand(op, "bias", bias)
    same_dtype(op, input=input, weight=weight, bias=bias)
    memory_format = memory_format_of(op, memory_format)
    out = destination(op, out, input, weight, bias)
    for name, value in (("input", input), ("weight", weight)):
        if len(value.shape) != rank + 2:
            raise ValueError(
                f"{op}: {name} must have {rank + 2} dimensions, got shape {value.shape}"
            )
    if isinstance(padding, str) and padding != "valid":
        raise ValueError(f"{op}: padding must be numbers or 'valid', got {padding!r}")
    form = form_of(
        op, rank, input.shape, weight.shape, stride, padding, dilation, groups, exact, workspace
    )
    stride, pads, dilation, groups, *_ = form
    extra = per_axis(op, "output_padding", output_padding, rank)
    if any(not 0 <= e < max(s, 1) for e, s in zip(extra, stride, strict=True)):
        raise ValueError(
            f"{op}: output_padding must be at least 0 and smaller than stride {stride}, got {extra}"
        )
    spatial = [
        (n - 1) * s - low - high + d * (k - 1) + e + 1
        for n, k, s, (low, high), d, e in zip(
            input.shape[2:], weight.shape[2:], stride, pads, dilation, extra, strict=True
        )
    ]
    if min(spatial) < 1 and min(map(min, pads)) >= 0:  # C++ refuses a negative padding
        raise ValueError(
            f"{op}: input {input.shape[2:]}, kernel {weight.shape[2:]}, stride {stride} and "
            f"padding {pads} give an output of size {tuple(spatial)}; padding must be smaller"
        )
    shape = (input.shape[0], weight.shape[1] * groups, *spatial)
    shape = sizes(op, "output size", shape)
    packed = packed_weights_of(weight, input, bias)
    return input_grad(op, shape, weight, input, bias, form, memory_format, out, packed)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    exact: bool = False,
    workspace: int | None = None,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Two-dimensional transposed ("fractionally strided") convolution.

    ``y[n, o, i * stride + u * dilation - padding, ...] += x[n, c, i, ...] w[c, o, u, ...]``: every
    input pixel adds its multiple of the filter, so that stride enlarges. It is the transpose of the
    matrix of `conv2d` with the same weight, stride, padding, dilation and groups.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H, W), float32 or float64
    weight : array_like or Tensor, shape (C, O / groups, KH, KW), of the same dtype
    bias : array_like or Tensor, shape (O,), optional
    stride, padding, groups, dilation
        Of the convolution that this is the transpose of: padding crops the result.
    output_padding : int or (int, int)
        Rows and columns added at the end, fewer than stride: picks one of the sizes from which the
        convolution leads to the input's.
    exact, workspace, memory_format, out
        As for `conv2d`.

    Returns
    -------
    ndarray, or Tensor where an operand is one
        Shape (N, O, (H - 1) * stride - padding + dilation * (KH - 1) + output_padding + 1, ...),
        where padding is that of both sides.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`; and where output_padding is not smaller than stride, or padding leaves nothing.

    References
    ----------
    Lecture 000 (fractional stride), 001 (transpose of the convolution's matrix).
    """
    return _conv_transpose(
        "conv_transpose2d",
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        exact,
        workspace,
        memory_format,
        out,
    )


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    exact: bool = False,
    workspace: int | None = None,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `conv_transpose2d`, for input (N, C, L) and weight (C, O / groups, K)."""
    return _conv_transpose(
        "conv_transpose1d",
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        exact,
        workspace,
        memory_format,
        out,
    )


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    *,
    exact: bool = False,
    workspace: int | None = None,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `conv_transpose2d`, for input (N, C, D, H, W) and weight (C, O / groups, KD, KH, KW)."""
    return _conv_transpose(
        "conv_transpose3d",
        3,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        exact,
        workspace,
        memory_format,
        out,
    )
