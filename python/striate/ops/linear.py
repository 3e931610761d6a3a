"""The fully connected layer: three primitives that are each other's gradients, as in `conv`."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .. import _core
from ..autograd import primitive
from ..autograd.arithmetic import reduce_sum, reshape
from .arguments import destination, operand, packed_weights_of


@primitive
def _linear(input: Any, weight: Any, bias: Any, out: Any, packed: Any = None) -> Any:
    return _core.linear_forward(input, weight, bias, out, packed)


@primitive
def _linear_input_grad(weight: Any, grad_output: Any) -> Any:
    return _core.linear_input_grad(weight, grad_output, None)


@primitive
def _linear_weight_grad(input: Any, grad_output: Any) -> Any:
    return _core.linear_weight_grad(input, grad_output, None)


_linear.vjp("input")(lambda grad, weight: _linear_input_grad(weight, grad))
_linear.vjp("weight")(lambda grad, input: _linear_weight_grad(input, grad))
_linear.vjp("bias")(lambda grad: reduce_sum(grad, 0, False))
_linear_input_grad.vjp("weight")(lambda grad, grad_output: _linear_weight_grad(grad, grad_output))
_linear_input_grad.vjp("grad_output")(lambda grad, weight: _linear(grad, weight, None, None))
_linear_weight_grad.vjp("input")(lambda grad, grad_output: _linear_input_grad(grad, grad_output))
_linear_weight_grad.vjp("grad_output")(lambda grad, input: _linear(input, grad, None, None))


def linear(input: Any, weight: Any, bias: Any = None, *, out: Any = None) -> Any:
    """``y = x @ weight.T + bias`` over the last axis.

    Parameters
    ----------
    input : array_like or Tensor, shape (..., I), float32 or float64
    weight : array_like or Tensor, shape (O, I), of the same dtype
    bias : array_like or Tensor, shape (O,), optional
    out : ndarray, optional
        Of the result's shape; filled and returned. C-contiguous where `input` has not two axes.

    Returns
    -------
    ndarray, or Tensor where an operand is one
        Shape (..., O).

    Raises
    ------
    TypeError, ValueError
        Operands of other or different dtypes; shapes that do not fit.

    References
    ----------
    Lectures 000 and 004 (gradients), 001 and 003 (a linear layer as a convolution).
    """
    if type(input) is np.ndarray and input.ndim == 2:
        result = _core.try_linear_forward(input, weight, bias, out)
        if result is not NotImplemented:
            return result
    input = operand("linear", "input", input)
    weight = operand("linear", "weight", weight)
    bias = None if bias is None else operand("linear", "bias", bias)
    out = destination("linear", out, input, weight, bias)
    packed = packed_weights_of(weight, input, bias)
    if input.ndim == 2:
        return _linear(input, weight, bias, out, packed)
    if input.ndim == 0 or weight.ndim != 2 or input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: input {input.shape} and weight {weight.shape} do not fit; they must be "
            "(..., in_features) and (out_features, in_features)"
        )
    *leading, features = input.shape
    shape = (*leading, weight.shape[0])
    if out is not None and (out.shape != shape or not out.flags.c_contiguous):
        raise ValueError(f"linear: out must be C-contiguous of shape {shape}, got {out.shape}")
    rows = prod(leading)
    flat = None if out is None else out.reshape(rows, weight.shape[0])
    result = reshape(_linear(reshape(input, (rows, features)), weight, bias, flat, packed), shape)
    return out if out is not None and isinstance(result, np.ndarray) else result
