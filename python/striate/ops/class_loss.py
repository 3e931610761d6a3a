"""Losses of class scores: cross-entropy with class numbers or probabilities as targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from ..autograd import Tensor, is_recording, primitive
from ..autograd.arithmetic import multiply, reshape
from .arguments import integer, operand, real, same_dtype
from .loss import is_called, reduced
from .softmax import log_softmax, softmax


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


def _labels(op: str, input: Any, target: Any, other: str = "") -> Any:
    """`target` as class numbers for every sample and position of `input`, of native integers."""
    labels = np.asarray(target)
    if labels.dtype.kind not in "iu" or isinstance(target, np.ma.MaskedArray):
        raise TypeError(f"{op}: target must be integers (class numbers){other}, got {labels.dtype}")
    if len(input.shape) < 2 or labels.shape != (input.shape[0], *input.shape[2:]):
        raise ValueError(
            f"{op}: input (N, C, ...) of shape {input.shape} does not fit target of shape "
            f"{labels.shape}; that must be (N, ...)"
        )
    if labels.dtype.kind == "u" and labels.size and labels.max() > np.iinfo(np.int64).max:
        raise ValueError(  # would be negative after the cast, and might be ignored
            f"{op}: target names class {labels.max()}, but input {input.shape} has "
            f"{input.shape[1]} classes"
        )
    return np.ascontiguousarray(labels, np.int64)


@primitive
def _kept(x: Any, ignored: Any) -> Any:
    """0 where a target is ignored: the row may hold anything, infinities and NaN included."""
    return np.where(ignored, x.dtype.type(0), x)


_kept.vjp("x")(lambda grad, ignored: _kept(grad, ignored))


def _class_weights(op: str, input: Any, weight: Any) -> Any:
    """One weight a class, as an array: nobody learns them."""
    if weight is None:
        return None
    if is_recording(weight):
        raise NotImplementedError(
            f"{op}: weight has no gradient, but requires grad; give weight.detach()"
        )
    array = operand(op, "weight", weight.data if isinstance(weight, Tensor) else weight)
    same_dtype(op, input=input, weight=array)
    if array.shape != (input.shape[1],):
        raise ValueError(
            f"{op}: weight must have one entry for each of {input.shape[1]} classes, got shape "
            f"{array.shape}"
        )
    return array


def _shares(labels: Any, weights: Any, ignored: Any, dtype: Any) -> Any:
    """What each target counts: its class's weight, 0 where it is ignored; None: all count 1."""
    if weights is None:
        return None if ignored is None else np.asarray(~ignored, dtype)
    shares = weights[labels]
    return shares if ignored is None else shares * ~ignored


def _mean_by_share(op: str, losses: Any, shares: Any, reduction: str) -> Any:
    """As `reduced`; a mean is over what the targets count."""
    if shares is None or not is_called(reduction, "mean"):
        return reduced(op, losses, reduction)
    total = shares.sum()
    return losses.sum() * (total.dtype.type(1) / total if total else total.dtype.type(np.nan))


def _without_ignored(labels: Any, ignore_index: Any) -> tuple[Any, Any]:
    """Labels with 0 for those to ignore, and a mask of these (None: there are none)."""
    ignored = labels == ignore_index
    return (np.where(ignored, 0, labels), ignored) if ignored.any() else (labels, None)


def nll_loss(
    input: Any,
    target: Any,
    reduction: str = "mean",
    *,
    weight: Any = None,
    ignore_index: int = -100,
) -> Any:
    """Negative log-likelihood ``-weight[t] * input[n, t]``, t = target[n], of log-probabilities.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C) or (N, C, spatial...), float32 or float64
    target : array_like of int, shape (N,) or (N, spatial...)
        Class numbers in [0, C), or `ignore_index`.
    reduction : {"mean", "sum", "none"}
        The mean is over what the targets count: ``sum / sum(weight[t])``, without the ignored.
    weight : array_like, shape (C,), optional
        What each class counts.
    ignore_index : int
        A target that counts nothing.

    Returns
    -------
    ndarray or NumPy scalar, or Tensor for a Tensor
        A scalar, or the shape of `target` for "none". The mean of nothing is NaN.

    Raises
    ------
    TypeError
        `target` is not of an integer dtype; another dtype of `weight`; an ignore_index that is no
        int.
    ValueError
        `target` does not fit `input`, or names a class that does not exist; a weight of another
        shape.
    NotImplementedError
        A weight that requires grad: it gets none.

    References
    ----------
    Lecture 004 (there with reduction="sum").
    """
    op = "nll_loss"
    input = operand(op, "input", input)
    ignore_index = integer(op, "ignore_index", ignore_index)
    labels = _labels(op, input, target)
    weights = _class_weights(op, input, weight)
    labels, ignored = _without_ignored(labels, ignore_index)
    if labels.size and not 0 <= labels.min() <= labels.max() < input.shape[1]:
        raise ValueError(
            f"{op}: target names class {labels.min() if labels.min() < 0 else labels.max()}, "
            f"but input {input.shape} has {input.shape[1]} classes"
        )
    shares = _shares(labels, weights, ignored, input.dtype)
    losses = -_nll_pick(input, labels)
    if ignored is not None:
        losses = _kept(losses, ignored)
    if shares is not None:
        losses = multiply(losses, shares)
    return _mean_by_share(op, losses, shares, reduction)


def cross_entropy(
    input: Any,
    target: Any,
    reduction: str = "mean",
    *,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Any:
    """``-weight[t] * log(softmax(input)[n, t])``, t = target[n]: finite for any finite scores.

    With probabilities p as targets ``-sum_c weight[c] * p[n, c] * log(softmax(input)[n, c])``.
    Label smoothing by s mixes the target with equal chances: ``(1 - s) * p + s / C``.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C) or (N, C, spatial...), float32 or float64
        Class scores (logits).
    target : array_like of int, shape (N,) or (N, spatial...); or array_like or Tensor as `input`
        Class numbers in [0, C) or `ignore_index`; or the probabilities of all classes.
    reduction : {"mean", "sum", "none"}
        The mean over class numbers is over what they count (see `nll_loss`), that over
        probabilities over samples and positions.
    weight : array_like, shape (C,), optional
        What each class counts.
    ignore_index : int
        A class number that counts nothing.
    label_smoothing : float
        In [0, 1].

    Returns
    -------
    ndarray or NumPy scalar, or Tensor for a Tensor
        A scalar, or the shape of `target` without the classes for "none".

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        As `nll_loss`; a label_smoothing outside [0, 1].

    References
    ----------
    Lectures 000 and 004 (there with reduction="sum"); Szegedy et al. 2016 (label smoothing).
    """
    op = "cross_entropy"
    input = operand(op, "input", input)
    if len(input.shape) < 2:
        raise ValueError(f"{op}: input must be (N, C, ...), got shape {input.shape}")
    smoothing = real(op, "label_smoothing", label_smoothing)
    if not 0.0 <= smoothing <= 1.0:
        raise ValueError(f"{op}: label_smoothing must lie in [0, 1], got {smoothing}")
    weights = _class_weights(op, input, weight)
    ignore_index = integer(op, "ignore_index", ignore_index)
    if np.shape(target) == input.shape and (
        isinstance(target, Tensor) or np.asarray(target).dtype.kind == "f"
    ):
        return _soft_cross_entropy(op, input, target, reduction, weights, smoothing)
    labels, ignored = _without_ignored(
        _labels(op, input, target, " or probabilities of the input's shape"), ignore_index
    )
    if ignored is not None:  # softmax is the slope, also of rows whose gradient is 0
        input = _kept(input, ignored[:, None])
    losses, _ = _cross_entropy(input, labels)
    if ignored is not None:
        losses = _kept(losses, ignored)
    shares = _shares(labels, weights, ignored, input.dtype)
    if shares is not None:
        losses = multiply(losses, shares)
    if smoothing:
        even = _weighted(-log_softmax(input, 1), weights).sum(1) * (smoothing / input.shape[1])
        if ignored is not None:
            even = _kept(even, ignored)
        losses = losses * (1.0 - smoothing) + even
    return _mean_by_share(op, losses, shares, reduction)


def _weighted(per_class: Any, weights: Any) -> Any:
    """(N, C, ...) times the weights of the classes."""
    if weights is None:
        return per_class
    return multiply(per_class, weights.reshape(-1, *(1,) * (len(per_class.shape) - 2)))


def _soft_cross_entropy(
    op: str, input: Any, target: Any, reduction: str, weights: Any, smoothing: float
) -> Any:
    target = operand(op, "target", target)
    same_dtype(op, input=input, target=target)
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / input.shape[1]
    losses = multiply(_weighted(-log_softmax(input, 1), weights), target).sum(1)
    return reduced(op, losses, reduction)
