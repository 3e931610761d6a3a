"""Losses: cross-entropy of class scores, and the mean squared error."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import primitive
from .arguments import operand, same_dtype
from .pointwise import log_softmax


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


def _reduced(op: str, losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.mean()
    raise ValueError(f"{op}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


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
    return _nll("nll_loss", operand("nll_loss", "input", input), target, reduction)


def _nll(op: str, input: Any, target: Any, reduction: str) -> Any:
    labels = np.asarray(target)
    if labels.dtype.kind not in "iu" or isinstance(target, np.ma.MaskedArray):
        raise TypeError(f"{op}: target must be integers (class numbers), got {labels.dtype}")
    if len(input.shape) < 2 or labels.shape != (input.shape[0], *input.shape[2:]):
        raise ValueError(
            f"{op}: input (N, C, ...) of shape {input.shape} does not fit target of shape "
            f"{labels.shape}; that must be (N, ...)"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < input.shape[1]:
        raise ValueError(
            f"{op}: target names class {labels.min() if labels.min() < 0 else labels.max()}, "
            f"but input {input.shape} has {input.shape[1]} classes"
        )
    return _reduced(op, -_nll_pick(input, labels.astype(np.intp)), reduction)


def cross_entropy(input: Any, target: Any, reduction: str = "mean") -> Any:
    """``-log(softmax(input)[n, target[n]])``, by way of `log_softmax`: finite for any scores.

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
    return _nll("cross_entropy", log_softmax(input, 1), target, reduction)


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
