"""Losses of probabilities: of yes or no, and the divergence of two distributions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Tensor, primitive
from ..autograd.arithmetic import exp, log, multiply, subtract
from .arguments import operand, same_dtype
from .curves import curve
from .loss import is_called, pair, reduced
from .sigmoids import logsigmoid


@primitive
def _binary_cross_entropy(input: Any, target: Any) -> Any:
    """With logarithms no less than -100, so that a certain error is finite."""
    with np.errstate(divide="ignore"):
        yes, no = np.maximum(np.log(input), -100), np.maximum(np.log1p(-input), -100)
    return -(target * yes + (1 - target) * no)


@_binary_cross_entropy.vjp("input")
def _(grad: Any, input: Any, target: Any) -> Any:
    return grad * (input - target) / _spread(input)


@primitive
def _log_odds(input: Any) -> Any:
    """Of yes to no, of the same logarithms: what a loss falls by where its target grows."""
    with np.errstate(divide="ignore"):
        yes, no = np.maximum(np.log(input), -100), np.maximum(np.log1p(-input), -100)
    return np.asarray(yes - no, input.dtype)


_log_odds.vjp("input")(lambda grad, input: grad / _spread(input))
_binary_cross_entropy.vjp("target")(lambda grad, input: -grad * _log_odds(input))


def _spread(input: Any) -> Any:
    """``x * (1 - x)``, the reciprocal slope of the log-odds, no less than 1e-12."""
    return curve("binary_cross_entropy", "clip", input * (1.0 - input), 1e-12, np.inf, None)


def _rescaled(op: str, losses: Any, weight: Any) -> Any:
    """Each loss times its weight, which may repeat to their shape."""
    if weight is None:
        return losses
    weight = operand(op, "weight", weight)
    same_dtype(op, input=losses, weight=weight)
    _check_repeats(op, "weight", weight, losses.shape)
    return multiply(losses, weight)


def _check_repeats(op: str, name: str, value: Any, shape: tuple[int, ...]) -> None:
    try:
        fits = np.broadcast_shapes(value.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{op}: {name} of shape {value.shape} does not repeat to input {shape}")


def binary_cross_entropy(
    input: Any, target: Any, reduction: str = "mean", *, weight: Any = None
) -> Any:
    """``-(t * log(x) + (1 - t) * log(1 - x))`` of probabilities x, with logarithms of -100 or more.

    From scores `binary_cross_entropy_with_logits` is more accurate.

    Parameters
    ----------
    input : array_like or Tensor, float32 or float64
        Probabilities in [0, 1].
    target : array_like or Tensor of the input's shape
        As a rule 0 or 1.
    reduction : {"mean", "sum", "none"}
    weight : array_like or Tensor, optional
        What each loss counts; repeats to the input's shape.

    Returns
    -------
    ndarray or NumPy scalar, or Tensor where an operand is one

    Raises
    ------
    TypeError, ValueError
        Operands of different dtypes or shapes; an input outside [0, 1].

    References
    ----------
    Lectures 000 and 004 (binary classifier).
    """
    op = "binary_cross_entropy"
    input, target = pair(op, input, target)
    data = input.data if isinstance(input, Tensor) else input
    if data.size and (data.min() < 0 or data.max() > 1):
        raise ValueError(
            f"{op}: input must be probabilities in [0, 1], got {data.min()} to {data.max()}"
        )
    return reduced(op, _rescaled(op, _binary_cross_entropy(input, target), weight), reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    reduction: str = "mean",
    *,
    weight: Any = None,
    pos_weight: Any = None,
) -> Any:
    """`binary_cross_entropy` of ``sigmoid(input)``, finite and accurate for any finite score.

    ``(1 - t) * x - (1 + (pos_weight - 1) * t) * log(sigmoid(x))``; its slope is ``sigmoid(x) - t``.

    Parameters
    ----------
    input : array_like or Tensor, float32 or float64
        Scores (logits).
    target : array_like or Tensor of the input's shape
    reduction : {"mean", "sum", "none"}
    weight, pos_weight : array_like or Tensor, optional
        What each loss, and what a target of 1 counts; both repeat to the input's shape.

    Returns
    -------
    ndarray or NumPy scalar, or Tensor where an operand is one

    Raises
    ------
    TypeError, ValueError
        Operands of different dtypes or shapes that do not fit.

    References
    ----------
    Lectures 000 and 004 (binary classifier).
    """
    op = "binary_cross_entropy_with_logits"
    input, target = pair(op, input, target)
    log_yes = logsigmoid(input)
    if pos_weight is not None:
        pos_weight = operand(op, "pos_weight", pos_weight)
        same_dtype(op, input=input, pos_weight=pos_weight)
        _check_repeats(op, "pos_weight", pos_weight, input.shape)
        log_yes = multiply(log_yes, multiply(target, pos_weight - 1.0) + 1.0)
    losses = subtract(multiply(1.0 - target, input), log_yes)
    return reduced(op, _rescaled(op, losses, weight), reduction)


# ---- divergence ----------------------------------------------------------------------------------


@primitive
def _x_log_x(x: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(x == 0, 0, x * np.log(x))


_x_log_x.vjp("x")(lambda grad, x: grad * (log(x) + 1.0))


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback-Leibler divergence of log-probabilities `input` from probabilities `target`.

    ``t * (log(t) - x)`` an element, 0 where t is 0; with `log_target`, ``exp(t) * (t - x)``.

    Parameters
    ----------
    input : array_like or Tensor, float32 or float64
    target : array_like or Tensor of the input's shape
    reduction : {"mean", "batchmean", "sum", "none"}
        "batchmean" divides the sum by the first axis, which the mathematical definition asks for;
        "mean" by the number of elements.
    log_target : bool
        Whether `target` holds logarithms too.

    Returns
    -------
    ndarray or NumPy scalar, or Tensor where an operand is one

    Raises
    ------
    TypeError, ValueError
        Operands of different dtypes or shapes; a reduction that is not known.

    References
    ----------
    Kullback and Leibler 1951.
    """
    op = "kl_div"
    input, target = pair(op, input, target)
    if log_target:
        losses = multiply(exp(target), subtract(target, input))
    else:
        losses = subtract(_x_log_x(target), multiply(target, input))
    if is_called(reduction, "batchmean"):
        if not input.shape:
            raise ValueError(f"{op}: reduction 'batchmean' needs a first axis")
        return losses.sum() / input.dtype.type(input.shape[0])
    return reduced(op, losses, reduction)
