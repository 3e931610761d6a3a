"""Losses of a difference: L2, L1 and what lies between them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd.arithmetic import multiply, subtract
from .arguments import real
from .curves import curve
from .loss import pair, reduced


def _error(op: str, input: Any, target: Any) -> Any:
    difference = subtract(*pair(op, input, target))
    return difference if isinstance(difference, Tensor) else np.asarray(difference)


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
    error = _error("mse_loss", input, target)
    return reduced("mse_loss", multiply(error, error), reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Absolute error ``|input - target|``, with gradient 0 where they are equal.

    Parameters, returns and raises as `mse_loss`. Source: lecture 004 (box coordinates).
    """
    error = _error("l1_loss", input, target)
    return reduced("l1_loss", curve("l1_loss", "absolute", error, 0.0, 0.0, None), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Squared near zero, linear far out, so that outliers pull no harder than their neighbours.

    With e = input - target: ``e ** 2 / 2`` where ``|e| <= delta``, else
    ``delta * (|e| - delta / 2)``.

    Parameters
    ----------
    input, target : array_like or Tensor
    reduction : {"mean", "sum", "none"}
    delta : float
        Positive.

    Returns
    -------
    ndarray or NumPy scalar, or Tensor where an operand is one

    Raises
    ------
    TypeError, ValueError
        As `mse_loss`; a delta that is no positive number.

    References
    ----------
    Huber 1964.
    """
    op = "huber_loss"
    error = _error(op, input, target)
    delta = real(op, "delta", delta)
    if not delta > 0:
        raise ValueError(f"{op}: delta must be positive, got {delta}")
    return reduced(op, curve(op, "huber", error, delta, 1.0, None), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """`l1_loss` with its corner rounded: ``e ** 2 / (2 * beta)`` where ``|e| < beta``, else
    ``|e| - beta / 2``. It is ``huber_loss(delta=beta) / beta``; with beta 0 it is the L1 loss.

    Parameters, returns and raises as `huber_loss`, but for beta, which may be 0. Source: Girshick
    2015 (boxes of objects).
    """
    op = "smooth_l1_loss"
    error = _error(op, input, target)
    beta = real(op, "beta", beta)
    if not beta >= 0:
        raise ValueError(f"{op}: beta must not be negative, got {beta}")
    if beta == 0:
        return reduced(op, curve(op, "absolute", error, 0.0, 0.0, None), reduction)
    return reduced(op, curve(op, "huber", error, beta, 1.0 / beta, None), reduction)
