"""The sigmoid and the hyperbolic tangent. Their gradients are taken from the output."""

from __future__ import annotations

from typing import Any

from .. import _core
from ..autograd import primitive
from .arguments import destination, operand


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
