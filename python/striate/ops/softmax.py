"""Softmax and its logarithm. Their gradients are taken from the output."""

from __future__ import annotations

from typing import Any

from .. import _core
from ..autograd import primitive
from ..autograd.arithmetic import exp
from .arguments import axis_of, destination, operand


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
