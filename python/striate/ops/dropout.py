"""Dropout, of elements and of whole channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Tensor
from .arguments import format_of, operand, real


def _dropped(
    op: str, input: Any, shape: tuple[int, ...], p: float, training: bool, rng: Any
) -> Any:
    """`input` with what a mask of `shape`, which repeats to it, drops."""
    p = real(op, "p", p)
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{op}: p must be a probability in [0, 1], got {p}")
    if not training or p == 0.0:
        return input
    # Drawn in the order in which the input lies in memory, so that the result lies like it.
    last = format_of(input.data if isinstance(input, Tensor) else input) == "channels_last"
    order = (0, *range(2, len(shape)), 1) if last else tuple(range(len(shape)))
    drawn = np.random.default_rng(rng).random([shape[axis] for axis in order], dtype=np.float32)
    kept = np.transpose(drawn, np.argsort(order)) >= p
    scale = 1.0 / (1.0 - p) if p < 1.0 else 0.0
    return input * np.multiply(kept, scale, dtype=input.dtype)


def dropout(input: Any, p: float = 0.5, training: bool = True, rng: Any = None) -> Any:
    """Set each element to 0 with probability `p` and scale the others by 1 / (1 - p).

    Parameters
    ----------
    input : array_like or Tensor, float32 or float64
    p : float
        In [0, 1].
    training : bool
        If false, `input` is returned as it is.
    rng : int, numpy.random.Generator or None
        Where the mask is drawn from, in the order of the input in memory; None draws fresh entropy.

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Of the input's shape and memory format.

    Raises
    ------
    ValueError
        `p` outside [0, 1].

    References
    ----------
    Lecture 000 (AlexNet), 003; Srivastava et al. 2014.
    """
    input = operand("dropout", "input", input)
    return _dropped("dropout", input, input.shape, p, training, rng)


def _channel_dropout(op: str, input: Any, p: float, training: bool, rng: Any, rank: int) -> Any:
    input = operand(op, "input", input)
    if len(input.shape) != rank + 2:
        raise ValueError(
            f"{op}: input must be (N, C, spatial...) of {rank + 2} axes, got shape {input.shape}"
        )
    shape = (*input.shape[:2], *(1,) * rank)
    return _dropped(op, input, shape, p, training, rng)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, rng: Any = None) -> Any:
    """Drop whole channels of (N, C, L); see `dropout2d`."""
    return _channel_dropout("dropout1d", input, p, training, rng, 1)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, rng: Any = None) -> Any:
    """Set each channel of each sample to 0 with probability `p`, scale the others by 1 / (1 - p).

    Neighbours in a feature map are alike, so dropping single elements hides little.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H, W), float32 or float64
    p, training, rng
        As of `dropout`; one number is drawn for each sample and channel, in that order.

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Of the input's shape.

    Raises
    ------
    ValueError
        `p` outside [0, 1]; another number of axes.

    References
    ----------
    Lecture 003; Tompson et al. 2015.
    """
    return _channel_dropout("dropout2d", input, p, training, rng, 2)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, rng: Any = None) -> Any:
    """Drop whole channels of (N, C, D, H, W); see `dropout2d`."""
    return _channel_dropout("dropout3d", input, p, training, rng, 3)
