"""Functions of one number whose gradient is taken from it, as one primitive: `curve`.

`rectifiers`, `sigmoids` and `regression_loss` name them. Second derivatives are made of primitives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _core
from ..autograd import Tensor, primitive
from ..autograd.arithmetic import exp
from .logistic import sigmoid


@primitive
def curve(op: str, name: str, input: Any, first: float, second: float, out: Any) -> Any:
    """The curve called `name` in csrc/kernels/pointwise/curve.h, with its two settings."""
    return _core.curve(op, name, input, first, second, out)


@primitive
def _curve_grad(
    op: str, name: str, input: Any, grad_output: Any, first: float, second: float
) -> Any:
    return _core.curve_grad(op, name, input, grad_output, first, second, None)


@curve.vjp("input")
def _(grad: Any, op: str, name: str, input: Any, first: float, second: float) -> Any:
    return _curve_grad(op, name, input, grad, first, second)


@_curve_grad.vjp("grad_output")
def _(grad: Any, op: str, name: str, input: Any, first: float, second: float) -> Any:
    return _curve_grad(op, name, input, grad, first, second)


@_curve_grad.vjp("input")
def _(
    grad: Any, op: str, name: str, input: Any, grad_output: Any, first: float, second: float
) -> Any:
    if name in ("absolute", "clip", "hardsigmoid"):
        return None  # straight lines: zero wherever there is a second derivative
    return grad * grad_output * _CURVATURES[name](input, first, second)


def where(condition: Callable[[Any], Any], input: Any) -> Any:
    """1 where the condition holds for the input's data, else 0, in its dtype."""
    data = input.data if isinstance(input, Tensor) else input
    return np.asarray(condition(data), data.dtype)


def _elu(x: Any, first: float, second: float) -> Any:
    bent = where(lambda data: data <= 0, x)
    return exp(x * bent) * bent * first


def _hardswish(x: Any, first: float, second: float) -> Any:
    bent = where(lambda data: np.abs(data) < 3, x)
    return bent * bent.dtype.type(1 / 3)


def _huber(x: Any, first: float, second: float) -> Any:
    bent = where(lambda data: np.abs(data) < first, x)
    return bent * bent.dtype.type(second)


def _softplus(x: Any, first: float, second: float) -> Any:
    bent = where(lambda data: data * first <= second, x)
    return sigmoid(x * first) * sigmoid(x * -first) * bent * first


def _logsigmoid(x: Any, first: float, second: float) -> Any:
    return sigmoid(x) * sigmoid(-x) * -1.0


def _silu(x: Any, first: float, second: float) -> Any:
    yes, no = sigmoid(x), sigmoid(-x)
    return yes * no * (x * (no - yes) + 2.0)


def _gelu(x: Any, first: float, second: float) -> Any:
    square = x * x
    return exp(square * -0.5) * (2.0 - square) * (1.0 / math.sqrt(2.0 * math.pi))


def _gelu_tanh(x: Any, first: float, second: float) -> Any:
    steep, cubic = 2.0 * math.sqrt(2.0 / math.pi), 0.044715
    square = x * x
    argument = x * (square * cubic + 1.0) * steep
    slope, bend = (square * (3.0 * cubic) + 1.0) * steep, x * (6.0 * cubic * steep)
    yes, no = sigmoid(argument), sigmoid(-argument)
    return yes * no * (slope * 2.0 + x * (slope * slope * (no - yes) + bend))


def _mish(x: Any, first: float, second: float) -> Any:
    yes, no = sigmoid(x), sigmoid(-x)
    # tanh(softplus(x)) is n / (n + 2), n = e (e + 2), e = exp(x); written in sigmoids of x
    # (e = yes / no) nothing overflows.
    value = yes * (yes + no * 2.0) / (yes * yes + yes * no * 2.0 + no * no * 2.0)
    rest = 1.0 - value * value
    slope = rest * yes
    return slope * 2.0 + x * (rest * yes * no - value * slope * yes * 2.0)


_CURVATURES: dict[str, Callable[[Any, float, float], Any]] = {
    "elu": _elu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "hardswish": _hardswish,
    "huber": _huber,
    "logsigmoid": _logsigmoid,
    "mish": _mish,
    "silu": _silu,
    "softplus": _softplus,
}
