"""Convolution in one, two and three dimensions, and the three primitives that it is made of.

Convolution is linear in its input and in its weight, so `forward`, `input_grad` and `weight_grad`
are each the gradients of the other two, to any order. `conv_grad` and `conv_transpose` give the
same primitives to users under other names. Here `form` is always (stride, padding, dilation,
groups, exact, workspace), as `_core` takes them; `packed` is where forms of the weight may stay.

A call on ready arrays goes straight to C++ (`_core.try_...`), which reads the arguments as they
were written; whatever it does not know at sight comes back as NotImplemented and takes the long
way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from ..autograd import Tensor, is_recording, primitive
from .arguments import (
    destination,
    integer,
    memory_format_of,
    operand,
    packed_weights_of,
    padding_pairs,
    per_axis,
)
from .logistic import _sigmoid, _tanh
from .rectifiers import _leaky_relu, _relu

Form = tuple[tuple[int, ...], tuple[tuple[int, int], ...], tuple[int, ...], int, bool, int | None]


@primitive
def forward(
    op: str,
    input: Any,
    weight: Any,
    bias: Any,
    residual: Any,
    activation: Any,
    form: Form,
    memory_format: Any,
    out: Any,
    packed: Any = None,
) -> Any:
    return _core.conv_forward(
        op,
        len(form[0]),
        input,
        weight,
        bias,
        residual,
        activation,
        *form,
        memory_format,
        out,
        packed,
    )


@primitive
def input_grad(
    op: str,
    input_shape: Any,
    weight: Any,
    grad_output: Any,
    bias: Any,
    form: Form,
    memory_format: Any,
    out: Any,
    packed: Any = None,
) -> Any:
    return _core.conv_input_grad(
        op, len(form[0]), input_shape, weight, grad_output, bias, *form, memory_format, out, packed
    )


@primitive
def weight_grad(
    op: str, input: Any, weight_shape: Any, grad_output: Any, form: Form, out: Any
) -> Any:
    return _core.conv_weight_grad(op, len(form[0]), input, weight_shape, grad_output, *form, out)


@primitive
def channel_sum(op: str, input: Any, out: Any) -> Any:
    return _core.channel_sum(op, input, out)


@primitive
def channel_spread(input: Any, shape: tuple[int, ...]) -> Any:
    """One value a channel, repeated over all other axes of `shape`."""
    return np.broadcast_to(input.reshape((1, -1) + (1,) * (len(shape) - 2)), shape)


@forward.vjp("input")
def _(grad: Any, op: str, input_shape: Any, weight: Any, form: Form) -> Any:
    return input_grad(op, input_shape, weight, grad, None, form, None, None)


@forward.vjp("weight")
def _(grad: Any, op: str, input: Any, weight_shape: Any, form: Form) -> Any:
    return weight_grad(op, input, weight_shape, grad, form, None)


@forward.vjp_together("weight", "bias")
def _(grad: Any, op: str, input: Any, weight_shape: Any, form: Form) -> Any:
    return _core.conv_weight_and_bias_grad(op, len(form[0]), input, weight_shape, grad, *form)


@input_grad.vjp("weight")
def _(grad: Any, op: str, weight_shape: Any, grad_output: Any, form: Form) -> Any:
    return weight_grad(op, grad, weight_shape, grad_output, form, None)


@input_grad.vjp("grad_output")
def _(grad: Any, op: str, weight: Any, form: Form) -> Any:
    return forward(op, grad, weight, None, None, None, form, None, None)


@weight_grad.vjp("input")
def _(grad: Any, op: str, input_shape: Any, grad_output: Any, form: Form) -> Any:
    return input_grad(op, input_shape, grad, grad_output, None, form, None, None)


@weight_grad.vjp("grad_output")
def _(grad: Any, op: str, input: Any, form: Form) -> Any:
    return forward(op, input, grad, None, None, None, form, None, None)


forward.vjp("bias")(lambda grad, op: channel_sum(op, grad, None))
forward.vjp("residual")(lambda grad: grad)
input_grad.vjp("bias")(lambda grad, op: channel_sum(op, grad, None))
channel_sum.vjp("input")(lambda grad, input_shape: channel_spread(grad, input_shape))
channel_spread.vjp("input")(lambda grad: channel_sum("channel_spread", grad, None))


# ---- from what users write to the primitives -----------------------------------------------------


def form_of(
    op: str,
    rank: int,
    input_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    exact: Any,
    workspace: Any,
) -> Form:
    stride = per_axis(op, "stride", stride, rank)
    dilation = per_axis(op, "dilation", dilation, rank)
    groups = integer(op, "groups", groups)
    padding = padding_pairs(op, padding, input_shape[2:], weight_shape[2:], stride, dilation)
    if workspace is not None:
        workspace = integer(op, "workspace", workspace)
    return stride, padding, dilation, groups, bool(exact), workspace


def activation_of(op: str, value: Any) -> Any:
    if value is not None and not (isinstance(value, str) and value in _ACTIVATIONS):
        raise ValueError(
            f"{op}: activation must be None, 'relu', 'leaky_relu', 'sigmoid' or 'tanh', "
            f"got {value!r}"
        )
    return value


_ACTIVATIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "relu": (_relu, (None,)),
    "leaky_relu": (_leaky_relu, (0.01, None)),
    "sigmoid": (_sigmoid, (None,)),
    "tanh": (_tanh, (None,)),
}


def _recorded(activation: str, args: tuple[Any, ...]) -> Any:
    """A fused call on Tensors: made in one pass, recorded as the sum and the activation of it.

    No rule asks for the sum itself, so the tape never misses it: gradients of these activations are
    told from their outputs.
    """
    output = forward.function(*[arg._data if isinstance(arg, Tensor) else arg for arg in args])
    total = forward.record(output, args)
    function, rest = _ACTIVATIONS[activation]
    return function.record(output, (total, *rest))


def _conv(
    op: str,
    rank: int,
    input: Any,
    weight: Any,
    bias: Any,
    residual: Any,
    activation: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    exact: Any,
    workspace: Any,
    memory_format: Any,
    out: Any,
) -> Any:
    input = operand(op, "input", input)
    weight = operand(op, "weight", weight)
    if bias is not None:
        bias = operand(op, "bias", bias)
    if residual is not None:
        residual = operand(op, "residual", residual)
    if activation is not None:
        activation = activation_of(op, activation)
    if memory_format is not None:
        memory_format = memory_format_of(op, memory_format)
    if out is not None:
        out = destination(op, out, input, weight, bias, residual)
    form = form_of(
        op, rank, input.shape, weight.shape, stride, padding, dilation, groups, exact, workspace
    )
    args = (op, input, weight, bias, residual, activation, form, memory_format, out)
    if activation is not None and is_recording(input, weight, bias, residual):
        return _recorded(activation, args)
    return forward(*args, packed_weights_of(weight, input, bias, residual))


# ---- public functions ----------------------------------------------------------------------------


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    residual: Any = None,
    activation: str | None = None,
    exact: bool = False,
    workspace: int | None = None,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Two-dimensional convolution (cross-correlation, as in every network library).

    ``y[n, o, i, j] = bias[o] + sum over c, u, v of w[o, c, u, v]
    x[n, c, i * stride + u * dilation - padding, j * stride + v * dilation - padding]``

    with zeros outside `x`; with groups, output channel o sees only the input channels of its group.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H, W), float32 or float64
    weight : array_like or Tensor, shape (O, C / groups, KH, KW), of the same dtype
    bias : array_like or Tensor, shape (O,), optional
    stride, dilation : int or (int, int)
        Step of the window, and step of the taps inside it.
    padding : int, (h, w), ((top, bottom), (left, right)), "valid", "same", "half" or "full"
        "same": the output has ceil(H / stride) rows, an odd row of zeros goes to the end. "half"
        and "full" surround the image with dilation * (KH - 1) zeros, halved (and rounded up) or
        not. `conv1d` takes "causal" too, zeros before the first element only: no output sees a
        later input than that at its own place.
    groups : int
    residual : array_like or Tensor of the result's shape, optional
        Added to the convolution before the activation.
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"}
        Applied last, in the same pass: as ``relu(conv2d(x, w, b) + residual)``, without the walks
        over memory. The slope of "leaky_relu" is 0.01.
    exact : bool
        Only direct algorithms: every output is the rounded sum of its products. Otherwise float32
        with 3 to 5 taps along an axis, or a stride and more, may run by Winograd's algorithm, which
        is faster and rounds about twice as much; an infinity or NaN then reaches all outputs of the
        tiles that see it.
    workspace : int, optional
        Bytes of scratch memory that the algorithm may need; others decline. None: what
        `set_workspace_limit` has set, no limit at first.
    memory_format : {None, "contiguous", "channels_last"}
        Of the result; None keeps the input's.
    out : ndarray, optional
        Filled and returned; must not overlap an operand.

    Returns
    -------
    ndarray, or Tensor where an operand is one
        Shape (N, O, (H + padding - dilation * (KH - 1) - 1) // stride + 1, ...).

    Raises
    ------
    TypeError
        Operands that are not float32 or float64, or differ in dtype.
    ValueError
        Shapes that do not fit together; stride, dilation or groups below one; negative padding; a
        kernel larger than the padded input.

    References
    ----------
    Lecture 000 (scanning, forward and backward), 001-003 (worked examples), 004 (dilation).
    """
    args = (
        "conv2d",
        2,
        input,
        weight,
        bias,
        residual,
        activation,
        stride,
        padding,
        dilation,
        groups,
        exact,
        workspace,
        memory_format,
        out,
    )
    result = _core.try_conv_forward(*args)
    return result if result is not NotImplemented else _conv(*args)


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    residual: Any = None,
    activation: str | None = None,
    exact: bool = False,
    workspace: int | None = None,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `conv2d`, for (N, C, L) and weight (O, C / groups, K); also with padding "causal"."""
    args = (
        "conv1d",
        1,
        input,
        weight,
        bias,
        residual,
        activation,
        stride,
        padding,
        dilation,
        groups,
        exact,
        workspace,
        memory_format,
        out,
    )
    result = _core.try_conv_forward(*args)
    return result if result is not NotImplemented else _conv(*args)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    residual: Any = None,
    activation: str | None = None,
    exact: bool = False,
    workspace: int | None = None,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """As `conv2d`, for input (N, C, D, H, W) and weight (O, C / groups, KD, KH, KW)."""
    args = (
        "conv3d",
        3,
        input,
        weight,
        bias,
        residual,
        activation,
        stride,
        padding,
        dilation,
        groups,
        exact,
        workspace,
        memory_format,
        out,
    )
    result = _core.try_conv_forward(*args)
    return result if result is not NotImplemented else _conv(*args)
