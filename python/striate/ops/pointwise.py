"""Activations: ReLU, leaky ReLU, sigmoid, tanh, softmax and dropout.

Each gradient kernel takes the activation's *output*, which the next layer keeps anyway.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from ..autograd import primitive
from ..autograd.arithmetic import exp
from .arguments import axis_of, destination, operand, real, same_dtype


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
def _sigmoid(input: Any, out: Any) -> Any:
    return _core.sigmoid(input, out)


@primitive
def _sigmoid_grad(activation: Any, grad_output: Any) -> Any:
    return _core.sigmoid_grad(activation, grad_output, None)


@primitive
def _tanh(input: Any, out: Any) -> Any:
    return _core.tanh(input, out)


@primitive
def _tanh_grad(activation: Any, grad_output: Any) -> Any:
    return _core.tanh_grad(activation, grad_output, None)


@primitive
def _softmax(input: Any, axis: int, out: Any) -> Any:
    return _core.softmax(input, axis, out)


@primitive
def _softmax_grad(activation: Any, grad_output: Any, axis: int) -> Any:
    return _core.softmax_grad(activation, grad_output, axis, None)


@primitive
def _log_softmax(input: Any, axis: int, out: Any) -> Any:
    return _core.log_softmax(input, axis, out)


@primitive
def _log_softmax_grad(activation: Any, grad_output: Any, axis: int) -> Any:
    return _core.log_softmax_grad(activation, grad_output, axis, None)


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

_sigmoid.vjp("input")(lambda grad, output: _sigmoid_grad(output, grad))
_sigmoid_grad.vjp("activation")(
    lambda grad, grad_output, activation: grad * grad_output * (1.0 - 2.0 * activation)
)
_sigmoid_grad.vjp("grad_output")(lambda grad, activation: _sigmoid_grad(activation, grad))

_tanh.vjp("input")(lambda grad, output: _tanh_grad(output, grad))
_tanh_grad.vjp("activation")(
    lambda grad, grad_output, activation: grad * grad_output * activation * -2.0
)
_tanh_grad.vjp("grad_output")(lambda grad, activation: _tanh_grad(activation, grad))

_softmax.vjp("input")(lambda grad, output, axis: _softmax_grad(output, grad, axis))
_softmax_grad.vjp("grad_output")(
    lambda grad, activation, axis: _softmax_grad(activation, grad, axis)
)
_log_softmax.vjp("input")(lambda grad, output, axis: _log_softmax_grad(output, grad, axis))


@_softmax_grad.vjp("activation")
def _(grad: Any, grad_output: Any, activation: Any, axis: int) -> Any:
    """Of y * (g - <g, y>)."""
    along = (grad * activation).sum(axis, keepdims=True)
    return (
        grad * (grad_output - (grad_output * activation).sum(axis, keepdims=True))
        - along * grad_output
    )


@_log_softmax_grad.vjp("activation")
def _(grad: Any, grad_output: Any, activation: Any, axis: int) -> Any:
    """Of g - exp(y) * sum(g)."""
    return -grad * exp(activation) * grad_output.sum(axis, keepdims=True)


@_log_softmax_grad.vjp("grad_output")
def _(grad: Any, activation: Any, axis: int) -> Any:
    return grad - (grad * exp(activation)).sum(axis, keepdims=True)


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


def sigmoid(input: Any, *, out: Any = None) -> Any:
    """``1 / (1 + exp(-x))``, without overflow for any x. Source: lectures 000 and 004.

    Takes an array or Tensor of any shape; `out` is an ndarray to fill, which may be `input` itself.
    """
    input = operand("sigmoid", "input", input)
    return _sigmoid(input, destination("sigmoid", out, input))


def tanh(input: Any, *, out: Any = None) -> Any:
    """The hyperbolic tangent. Source: lectures 000 and 002.

    Takes an array or Tensor of any shape; `out` is an ndarray to fill, which may be `input` itself.
    """
    input = operand("tanh", "input", input)
    return _tanh(input, destination("tanh", out, input))


def softmax(input: Any, dim: int, *, out: Any = None) -> Any:
    """``exp(x_i) / sum_j exp(x_j)`` along axis `dim`, shifted by the maximum against overflow.

    Parameters
    ----------
    input : array_like or Tensor, float32 or float64
    dim : int
    out : ndarray, optional

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Of the input's shape.

    Raises
    ------
    TypeError, ValueError
        Another dtype; an axis that does not exist.

    References
    ----------
    Lectures 000 and 003.
    """
    input = operand("softmax", "input", input)
    dim = axis_of("softmax", "dim", dim, len(input.shape))
    return _softmax(input, dim, destination("softmax", out, input))


def log_softmax(input: Any, dim: int, *, out: Any = None) -> Any:
    """``x_i - log(sum_j exp(x_j))`` along axis `dim`: accurate where `softmax` rounds to zero.

    Parameters, returns and raises as `softmax`.
    """
    input = operand("log_softmax", "input", input)
    dim = axis_of("log_softmax", "dim", dim, len(input.shape))
    return _log_softmax(input, dim, destination("log_softmax", out, input))


def dropout(input: Any, p: float = 0.5, training: bool = True, rng: Any = None) -> Any:
    """Set each element to 0 with probability `p` and scale the others by 1 / (1 - p).

    Parameters
    ----------
    input : array_like or Tensor, float32 or float64
    p : float
        In [0, 1].
    training : bool
        If false, `input` is returned as it is.
    rng : int, numpy.random.Generator or None
        Where the mask is drawn from; None draws fresh entropy.

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Of the input's shape.

    Raises
    ------
    ValueError
        `p` outside [0, 1].

    References
    ----------
    Lecture 000 (AlexNet), 003; Srivastava et al. 2014.
    """
    input = operand("dropout", "input", input)
    p = real("dropout", "p", p)
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: p must be a probability in [0, 1], got {p}")
    if not training or p == 0.0:
        return input
    kept = np.random.default_rng(rng).random(input.shape, dtype=np.float32) >= p
    scale = 1.0 / (1.0 - p) if p < 1.0 else 0.0
    return input * np.multiply(kept, scale, dtype=input.dtype)
