"""Activations that are a line on the right: ReLU and its family.

The gradients of ReLU and leaky ReLU are taken from the *output*, which the next layer keeps anyway.
"""

from __future__ import annotations

from typing import Any

from .. import _core
from ..autograd import primitive
from ..autograd.arithmetic import reshape, sum_to
from .arguments import destination, operand, real, same_dtype
from .curves import curve, where


@primitive
def _relu(input: Any, out: Any) -> Any:
    return _core.relu(input, out)


@primitive
def _relu_grad(activation: Any, grad_output: Any) -> Any:
    return _core.relu_grad(activation, grad_output, None)


@primitive
def _add_relu(input: Any, other: Any, out: Any) -> Any:
    return _core.add_relu(input, other, out)


@primitive
def _leaky_relu(input: Any, negative_slope: float, out: Any) -> Any:
    return _core.leaky_relu(input, negative_slope, out)


@primitive
def _leaky_relu_grad(activation: Any, grad_output: Any, negative_slope: float) -> Any:
    return _core.leaky_relu_grad(activation, grad_output, negative_slope, None)


@primitive
def _prelu(input: Any, slope: Any, out: Any) -> Any:
    return _core.prelu(input, slope, out)


@primitive
def _prelu_grad(input: Any, slope: Any, grad_output: Any) -> Any:
    return _core.prelu_grad(input, slope, grad_output, None)


@primitive
def _prelu_weight_terms(input: Any, grad_output: Any) -> Any:
    return _core.prelu_weight_terms(input, grad_output, None)


_relu.vjp("input")(lambda grad, output: _relu_grad(output, grad))
_relu_grad.vjp("activation")(lambda grad: None)  # a step: zero wherever it has a derivative
_relu_grad.vjp("grad_output")(lambda grad, activation: _relu_grad(activation, grad))


@_add_relu.vjp("input", "other")
def _(grad: Any, output: Any) -> Any:
    both = _core.relu_grad(output, grad, None)
    return both, both


_leaky_relu.vjp("input")(
    lambda grad, output, negative_slope: _leaky_relu_grad(output, grad, negative_slope)
)
_leaky_relu_grad.vjp("activation")(lambda grad: None)  # a step, as of ReLU
_leaky_relu_grad.vjp("grad_output")(
    lambda grad, activation, negative_slope: _leaky_relu_grad(activation, grad, negative_slope)
)

_prelu.vjp("input")(lambda grad, input, slope: _prelu_grad(input, slope, grad))
_prelu.vjp("slope")(
    lambda grad, input, slope_shape: sum_to(_prelu_weight_terms(input, grad), slope_shape)
)
_prelu_grad.vjp("input")(lambda grad: None)  # a step, as of ReLU
_prelu_grad.vjp("grad_output")(lambda grad, input, slope: _prelu_grad(input, slope, grad))
_prelu_grad.vjp("slope")(
    lambda grad, input, grad_output, slope_shape: sum_to(
        grad * grad_output * where(lambda data: ~(data > 0), input), slope_shape
    )
)
_prelu_weight_terms.vjp("input")(
    lambda grad, input, grad_output: grad * grad_output * where(lambda data: ~(data > 0), input)
)
_prelu_weight_terms.vjp("grad_output")(lambda grad, input: _prelu_weight_terms(input, grad))


def relu(input: Any, *, out: Any = None) -> Any:
    """``max(x, 0)``, NaN where x is NaN; the gradient at 0 is 0. Source: lectures 000-004.

    Takes an array or Tensor of any shape; `out` is an ndarray to fill, which may be `input` itself.
    """
    input = operand("relu", "input", input)
    return _relu(input, destination("relu", out, input))


def add_relu(input: Any, other: Any, *, out: Any = None) -> Any:
    """``max(input + other, 0)`` in one pass: the end of a residual block.

    Parameters
    ----------
    input, other : array_like or Tensor, float32 or float64
        Of one shape and dtype.
    out : ndarray, optional
        May be `input` or `other` itself.

    Returns
    -------
    ndarray, or Tensor where an operand is one
        Of the operands' shape. It has no second derivative; ``relu(input + other)`` has.

    Raises
    ------
    TypeError, ValueError
        Operands of different dtypes or shapes (nothing is broadcast).

    References
    ----------
    He, Zhang, Ren and Sun 2016.
    """
    op = "add_relu"
    input, other = operand(op, "input", input), operand(op, "other", other)
    same_dtype(op, input=input, other=other)
    if input.shape != other.shape:
        raise ValueError(
            f"{op}: input and other must have one shape, got {input.shape}, {other.shape}"
        )
    return _add_relu(input, other, destination(op, out, input, other))


def leaky_relu(input: Any, negative_slope: float = 0.01, *, out: Any = None) -> Any:
    """``x`` where x > 0, else ``negative_slope * x``; the gradient at 0 is `negative_slope`.

    Parameters
    ----------
    input : array_like or Tensor, float32 or float64
    negative_slope : float
        Positive and finite, also once rounded to the input's dtype: the gradient is taken from the
        output, whose sign must be the input's.
    out : ndarray, optional

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Of the input's shape; NaN where x is NaN.

    Raises
    ------
    TypeError, ValueError
        Another dtype; a slope that is no number, not positive or not finite.

    References
    ----------
    Lectures 000-004 (the ReLU family); Maas, Hannun and Ng 2013.
    """
    input = operand("leaky_relu", "input", input)
    negative_slope = real("leaky_relu", "negative_slope", negative_slope)
    return _leaky_relu(input, negative_slope, destination("leaky_relu", out, input))


def prelu(input: Any, weight: Any, *, out: Any = None) -> Any:
    """``x`` where x > 0, else ``weight * x``: a leaky ReLU whose slope is learnt.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, ...) or any, float32 or float64
    weight : array_like or Tensor, shape (1,) or (C,)
        The slope of all elements, or one a channel. Its gradient is
        ``sum(grad_output * x)`` over the elements with x <= 0.
    out : ndarray, optional

    Returns
    -------
    ndarray, or Tensor where an operand is one
        Of the input's shape; NaN where x is NaN.

    Raises
    ------
    TypeError, ValueError
        Operands of other or different dtypes; a weight of another shape.

    References
    ----------
    Lecture 000; He, Zhang, Ren and Sun 2015.
    """
    op = "prelu"
    input, weight = operand(op, "input", input), operand(op, "weight", weight)
    same_dtype(op, input=input, weight=weight)
    rank = len(input.shape)
    channels = input.shape[1] if rank > 1 else 1
    if weight.shape not in ((1,), (channels,)):
        raise ValueError(
            f"{op}: weight must have shape (1,) or ({channels},), one a channel of input "
            f"{input.shape}, got {weight.shape}"
        )
    shape = [1] * rank
    if weight.shape != (1,):
        shape[1] = channels
    slope = reshape(weight, tuple(shape))
    return _prelu(input, slope, destination(op, out, input, weight))


def relu6(input: Any, *, out: Any = None) -> Any:
    """``min(max(x, 0), 6)``; the gradient is 0 at both ends. Source: Howard et al. 2017.

    Takes an array or Tensor of any shape; `out` is an ndarray to fill, which may be `input` itself.
    """
    input = operand("relu6", "input", input)
    return curve("relu6", "clip", input, 0.0, 6.0, destination("relu6", out, input))


def elu(input: Any, alpha: float = 1.0, *, out: Any = None) -> Any:
    """``x`` where x > 0, else ``alpha * (exp(x) - 1)``.

    Parameters
    ----------
    input : array_like or Tensor, float32 or float64
    alpha : float
        Finite; -alpha is the limit on the left.
    out : ndarray, optional

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Of the input's shape.

    Raises
    ------
    TypeError, ValueError
        Another dtype; an alpha that is no finite number.

    References
    ----------
    Clevert, Unterthiner and Hochreiter 2016; the ReLU family of lecture 000.
    """
    input, alpha = operand("elu", "input", input), real("elu", "alpha", alpha)
    return curve("elu", "elu", input, alpha, 1.0, destination("elu", out, input))


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def selu(input: Any, *, out: Any = None) -> Any:
    """``scale * elu(x, alpha)``: with alpha 1.6733 and scale 1.0507 it keeps mean 0, variance 1.

    Takes an array or Tensor of any shape; `out` is an ndarray to fill, which may be `input` itself.
    Klambauer et al. 2017.
    """
    input = operand("selu", "input", input)
    left = _SELU_ALPHA * _SELU_SCALE
    return curve("selu", "elu", input, left, _SELU_SCALE, destination("selu", out, input))
