"""Normalisation of each sample by itself: by groups of channels, by layers, by instances."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _core
from ..autograd import Tensor, primitive
from ..autograd.arithmetic import add, multiply
from .arguments import integer, operand, real, same_dtype, sizes
from .norm import batch_norm, check_running, fits_channels


@primitive(extra=("mean", "var"))
def _group_norm(op: str, input: Any, groups: int, weight: Any, bias: Any, eps: float) -> Any:
    return _core.group_norm(op, input, groups, weight, bias, eps, None)


@_group_norm.vjp("input", "weight", "bias")
def _(
    grad: Any, op: str, input: Any, groups: int, mean: Any, var: Any, weight: Any, eps: float
) -> Any:
    return _core.group_norm_grad(f"{op}_grad", input, grad, groups, mean, var, weight, eps)


@primitive(extra=("mean", "var"))
def _row_norm(op: str, input: Any, weight: Any, bias: Any, eps: float) -> Any:
    return _core.group_norm(op, np.ascontiguousarray(input), 1, weight, bias, eps, None)


@_row_norm.vjp("input", "weight", "bias")
def _(grad: Any, op: str, input: Any, mean: Any, var: Any, weight: Any, eps: float) -> Any:
    rows, grads = np.ascontiguousarray(input), np.ascontiguousarray(grad)
    return _core.group_norm_grad(f"{op}_grad", rows, grads, 1, mean, var, weight, eps)


def _affine(op: str, input: Any, weight: Any, bias: Any) -> tuple[Any, Any, Any]:
    """The three operands, of one dtype."""
    input = operand(op, "input", input)
    weight = None if weight is None else operand(op, "weight", weight)
    bias = None if bias is None else operand(op, "bias", bias)
    same_dtype(op, input=input, weight=weight, bias=bias)
    return input, weight, bias


def _checked_eps(op: str, eps: Any) -> float:
    number = real(op, "eps", eps)
    if not number >= 0:
        raise ValueError(f"{op}: eps must not be negative, got {number}")
    return number


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Normalise groups of channels of every sample, then scale and shift each channel.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``, mean and (biased) variance over the
    pixels and the C / num_groups channels of a group. It does not depend on the batch.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C) or (N, C, spatial...), float32 or float64
    num_groups : int
        A divisor of C.
    weight, bias : array_like or Tensor, shape (C,), optional
    eps : float

    Returns
    -------
    ndarray, or Tensor where an operand is one
        Of the input's shape and memory format. It has no second derivative.

    Raises
    ------
    TypeError, ValueError
        Operands of other or different dtypes; shapes that do not fit; groups that do not divide
        the channels; eps that is negative.

    References
    ----------
    Wu and He 2018; normalisation in lectures 000 and 003.
    """
    op = "group_norm"
    input, weight, bias = _affine(op, input, weight, bias)
    groups, eps = integer(op, "num_groups", num_groups), _checked_eps(op, eps)
    return _group_norm(op, input, groups, weight, bias, eps)[0]


# Longer rows leave the cache between the passes, and may be too few for the threads.
_ROW = 1 << 16


def _order_in_memory(array: Any, lead: int) -> tuple[int, ...]:
    """The axes, from number `lead` on by their strides."""
    strides = (array.numpy() if isinstance(array, Tensor) else array).strides
    inner = sorted(range(lead, len(strides)), key=lambda axis: -strides[axis])
    return (*range(lead), *inner)


def layer_norm(
    input: Any,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """Normalise over the last axes, then scale and shift every element.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``, mean and (biased) variance over the axes
    of `normalized_shape`.

    Parameters
    ----------
    input : array_like or Tensor, shape (..., *normalized_shape), float32 or float64
    normalized_shape : int or tuple of int
        The last axes of the input.
    weight, bias : array_like or Tensor of `normalized_shape`, optional
    eps : float

    Returns
    -------
    ndarray, or Tensor where an operand is one
        Of the input's shape. It has no second derivative.

    Raises
    ------
    TypeError, ValueError
        Operands of other or different dtypes; shapes that do not fit; eps that is negative.

    References
    ----------
    Ba, Kiros and Hinton 2016; normalisation in lectures 000 and 003.
    """
    op = "layer_norm"
    input, weight, bias = _affine(op, input, weight, bias)
    eps = _checked_eps(op, eps)
    if np.iterable(normalized_shape):
        shape = sizes(op, "normalized_shape", normalized_shape)
    else:
        shape = (integer(op, "normalized_shape", normalized_shape),)
    own = input.shape
    lead = len(own) - len(shape)
    if not shape or own[max(lead, 0) :] != shape:
        raise ValueError(f"{op}: input {own} must end in normalized_shape {shape}")
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.shape != shape:
            raise ValueError(f"{op}: {name} must have shape {shape}, got {value.shape}")
    count = math.prod(shape)
    if count <= _ROW:
        order = _order_in_memory(input, lead)
        if moved := order != tuple(range(len(own))):  # samples of any format are rows as they lie
            inner = tuple(axis - lead for axis in order[lead:])
            input = input.transpose(order)
            weight, bias = (v if v is None else v.transpose(inner) for v in (weight, bias))
        laid = input.shape
        weight, bias = (v if v is None else v.reshape((count,)) for v in (weight, bias))
        rows = input.reshape((math.prod(own[:lead]), count))
        normal = _row_norm(op, rows, weight, bias, eps)[0].reshape(laid)
        back = tuple(order.index(axis) for axis in range(len(own)))
        return normal.transpose(back) if moved else normal
    if lead == 1:  # whole samples, in any memory format
        normal = _group_norm(op, input, 1, None, None, eps)[0]
    else:
        rows = input.reshape((math.prod(own[:lead]), 1, count))
        normal = _group_norm(op, rows, 1, None, None, eps)[0].reshape(own)
    if weight is not None:
        normal = multiply(normal, weight)
    return normal if bias is None else add(normal, bias)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise every channel of every sample by itself, then scale and shift it.

    `group_norm` with a group a channel.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, spatial...), float32 or float64
    running_mean, running_var : ndarray, shape (C,), optional
        Changed in place where the input's statistics are used, as in `batch_norm`:
        ``running = (1 - momentum) * running + momentum * mean over the samples``, of the unbiased
        variance. With ``use_input_stats=False`` they normalise instead.
    weight, bias : array_like or Tensor, shape (C,), optional
    use_input_stats : bool
    momentum, eps : float

    Returns
    -------
    ndarray, or Tensor where an operand is one
        Of the input's shape and memory format. It has no second derivative.

    Raises
    ------
    TypeError, ValueError
        As `batch_norm`; one value a channel and sample; no running statistics where those of the
        input are not to be used. None of the operands has changed then.

    References
    ----------
    Ulyanov, Vedaldi and Lempitsky 2016.
    """
    op = "instance_norm"
    input, weight, bias = _affine(op, input, weight, bias)
    eps, momentum = _checked_eps(op, eps), real(op, "momentum", momentum)
    if len(input.shape) < 3:
        raise ValueError(f"{op}: input must be (N, C, spatial...), got shape {input.shape}")
    if (running_mean is None) != (running_var is None) or not (
        use_input_stats or running_mean is not None
    ):
        raise ValueError(
            f"{op}: give running_mean and running_var, or with use_input_stats neither"
        )
    if not use_input_stats:  # the same formula; what it would refuse, refused by this name
        running_mean = operand(op, "running_mean", running_mean)
        running_var = operand(op, "running_var", running_var)
        same_dtype(op, input=input, running_mean=running_mean, running_var=running_var)
        given = {"running_mean": running_mean, "running_var": running_var}
        for name, value in {**given, "weight": weight, "bias": bias}.items():
            if value is not None:
                fits_channels(op, name, value, input)
        return batch_norm(input, running_mean, running_var, weight, bias, eps=eps)
    channels, pixels = input.shape[1], math.prod(input.shape[2:])
    if pixels < 2 and input.shape[0] * channels:
        raise ValueError(
            f"{op}: needs more than one value a channel and sample, got shape {input.shape}"
        )
    if running_mean is not None:
        check_running(op, "running_mean", running_mean, input)
        check_running(op, "running_var", running_var, input)
    if not channels:
        return input * 1.0
    output, mean, var = _group_norm(op, input, channels, weight, bias, eps)
    if running_mean is not None and input.shape[0]:
        unbiased = var.mean(0) * (pixels / (pixels - 1))
        for running, batch in ((running_mean, mean.mean(0)), (running_var, unbiased)):
            running *= 1.0 - momentum
            running += momentum * batch
    return output
