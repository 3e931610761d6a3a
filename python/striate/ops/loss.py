"""Losses: cross-entropy of class scores, and the mean squared error."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from ..autograd import primitive
from ..autograd.arithmetic import reshape
from .arguments import operand, same_dtype
from .softmax import softmax


@primitive
def _nll_pick(input: Any, target: Any) -> Any:
    """The entry of axis 1 that `target` names, for each sample and position."""
    return np.take_along_axis(input, target[:, None], 1)[:, 0]


@primitive
def _nll_place(input: Any, shape: tuple[int, ...], target: Any) -> Any:
    """`input` where `target` names axis 1, zero elsewhere: the transpose of `_nll_pick`."""
    result = np.zeros(shape, input.dtype)
    np.put_along_axis(result, target[:, None], input[:, None], 1)
    return result


_nll_pick.vjp("input")(lambda grad, input_shape, target: _nll_place(grad, input_shape, target))
_nll_place.vjp("input")(lambda grad, target: _nll_pick(grad, target))


@primitive(extra=("kept",))
def _cross_entropy(input: Any, target: Any) -> Any:
    return _core.cross_entropy_forward("cross_entropy", input, target)


@primitive
def _cross_entropy_grad(input: Any, grad_output: Any, target: Any, kept: Any) -> Any:
    """``(softmax(input) - one_hot(target)) * grad_output``; `kept` follows from `input`."""
    return _core.cross_entropy_grad(input, target, kept, grad_output, None)


_cross_entropy.vjp("input")(
    lambda grad, input, target, kept: _cross_entropy_grad(input, grad, target, kept)
)


@_cross_entropy_grad.vjp("input")
def _(grad: Any, input: Any, grad_output: Any) -> Any:
    shape = (input.shape[0], 1, *input.shape[2:])
    weighted = grad * reshape(grad_output, shape)
    chances = softmax(input, 1)
    return chances * (weighted - (weighted * chances).sum(1, keepdims=True))


@_cross_entropy_grad.vjp("grad_output")
def _(grad: Any, input: Any, target: Any) -> Any:
    return (grad * softmax(input, 1)).sum(1) - _nll_pick(grad, target)


def _reduced(op: str, losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.mean()
    raise ValueError(f"{op}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _labels(op: str, input: Any, target: Any) -> Any:
    """`target` as class numbers for every sample and position of `input`, of native integers."""
    labels = np.asarray(target)
    if labels.dtype.kind not in "iu" or isinstance(target, np.ma.MaskedArray):
        raise TypeError(f"{op}: target must be integers (class numbers), got {labels.dtype}")
    if len(input.shape) < 2 or labels.shape != (input.shape[0], *input.shape[2:]):
        raise ValueError(
            f"{op}: input (N, C, ...) of shape {input.shape} does not fit target of shape "
            f"{labels.shape}; that must be (N, ...)"
        )
    return np.ascontiguousarray(labels, np.int64)


def nll_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Negative log-likelihood ``-input[n, target[n]]`` of log-probabilities.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C) or (N, C, spatial...), float32 or float64
    target : array_like of int, shape (N,) or (N, spatial...)
        Class numbers in [0, C).
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    ndarray or NumPy scalar, or Tensor for a Tensor
        A scalar, or the shape of `target` for "none".

    Raises
    ------
    TypeError
        `target` is not of an integer dtype.
    ValueError
        `target` does not fit `input`, or names a class that does not exist.
    """
    input = operand("nll_loss", "input", input)
    labels = _labels("nll_loss", input, target)
    if labels.size and not 0 <= labels.min() <= labels.max() < input.shape[1]:
        raise ValueError(
            f"nll_loss: target names class {labels.min() if labels.min() < 0 else labels.max()}, "
            f"but input {input.shape} has {input.shape[1]} classes"
        )
    return _reduced("nll_loss", -_nll_pick(input, labels), reduction)


def cross_entropy(input: Any, target: Any, reduction: str = "mean") -> Any:
    """``-log(softmax(input)[n, target[n]])``, in one pass: finite for any finite scores.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C) or (N, C, spatial...), float32 or float64
        Class scores (logits).
    target : array_like of int, shape (N,) or (N, spatial...)
        Class numbers in [0, C).
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    ndarray or NumPy scalar, or Tensor for a Tensor
        A scalar, or the shape of `target` for "none".

    Raises
    ------
    TypeError, ValueError
        As `nll_loss`.

    References
    ----------
    Lectures 000 and 004 (there with reduction="sum").
    """
    input = operand("cross_entropy", "input", input)
    if len(input.shape) < 2:
        raise ValueError(f"cross_entropy: input must be (N, C, ...), got shape {input.shape}")
    losses, _ = _cross_entropy(input, _labels("cross_entropy", input, target))
    return _reduced("cross_entropy", losses, reduction)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Squared error ``(input - target) ** 2`` of two operands of one shape and dtype.

    Parameters
    ----------
    input, target : array_like or Tensor
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    ndarray or NumPy scalar, or Tensor where an operand is one

    Raises
    ------
    TypeError, ValueError
        Operands of different dtypes or shapes (nothing is broadcast).

    References
    ----------
    Lectures 000 and 004 (L2 loss).
    """
    input = operand("mse_loss", "input", input)
    target = operand("mse_loss", "target", target)
    same_dtype("mse_loss", input=input, target=target)
    if input.shape != target.shape:
        raise ValueError(
            f"mse_loss: input and target must have one shape, got {input.shape}, {target.shape}"
        )
    error = input - target
    return _reduced("mse_loss", error * error, reduction)
