"""Padding: images surrounded by a constant, their mirror image, their edge, or themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _core
from ..autograd import primitive
from .arguments import destination, image, memory_format_of, per_axis_pairs, real
from .take import take

MODES = ("constant", "reflect", "replicate", "circular")


@primitive
def _pad(input: Any, padding: Any, value: float, memory_format: Any, out: Any) -> Any:
    return _core.pad(input, padding, value, memory_format, out)


@_pad.vjp("input")
def _(grad: Any, padding: Any) -> Any:
    return _pad(grad, tuple((-low, -high) for low, high in padding), 0.0, None, None)


def _positions(mode: str, n: int, low: int, high: int, axis: int) -> Any:
    """Where in an axis of `n` elements each element of the padded axis comes from."""
    most = {"reflect": n - 1, "replicate": 2**31 - 1 if n else 0, "circular": n}[mode]
    if max(low, high) > most or n + low + high < 0:
        rule = {
            "reflect": "be smaller than the axis",
            "replicate": "surround at least one element, and fewer than 2^31",
            "circular": "be at most as large as the axis",
        }[mode]
        raise ValueError(
            f"pad: padding ({low}, {high}) of axis {axis} must {rule} with mode {mode!r}, and crop "
            f"no more than its {n} elements"
        )
    at = np.arange(-low, n + high)
    if mode == "replicate":
        return np.clip(at, 0, max(n - 1, 0)).tolist()
    if mode == "circular":
        return (at % n if n else at).tolist()
    at = np.abs(at)
    return np.where(at >= n, 2 * (n - 1) - at, at).tolist()


def pad(
    input: Any,
    padding: Any,
    mode: str = "constant",
    value: float = 0.0,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Surround every image; a negative number crops instead.

    ``y[n, c, i] = x[n, c, i - low]`` inside; outside, with n pixels on the axis and k = i - low::

        "constant"    value value | a b c d | value value
        "reflect"             c b | a b c d | c b          x[|k|], x[2 (n - 1) - k]
        "replicate"           a a | a b c d | d d          x[0], x[n - 1]
        "circular"            c d | a b c d | a b          x[k mod n]

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, spatial...), float32 or float64
    padding : int, one int a spatial axis, or one pair (low, high) a spatial axis
        In the order of the axes (PyTorch's flat tuple begins with the last).
    mode : {"constant", "reflect", "replicate", "circular"}
    value : float
        Of a constant padding.
    memory_format, out
        As for `conv2d`.

    Returns
    -------
    ndarray, or Tensor for a Tensor

    Raises
    ------
    TypeError, ValueError
        Another dtype, rank or mode; more cropped than there is; a reflection as long as the axis, a
        circular padding longer than it.

    Notes
    -----
    A circular padding with one side cropped reads ``x[k mod n]`` of the whole axis on the other
    side; PyTorch crops first, and repeats what is left.

    References
    ----------
    Lectures 001 and 003 (none, half, full padding; zeros, constants, reflection, replication).
    """
    op = "pad"
    input, rank = image(op, "input", input)
    pairs = per_axis_pairs(op, "padding", padding, rank)
    if not (isinstance(mode, str) and mode in MODES):
        raise ValueError(f"{op}: mode must be one of {MODES}, got {mode!r}")
    number = real(op, "value", value)
    memory_format = memory_format_of(op, memory_format)
    out = destination(op, out, input)
    if mode == "constant":
        return _pad(input, pairs, number, memory_format, out)
    if number != 0.0:
        raise ValueError(f"{op}: value has no meaning with mode {mode!r}, got {value!r}")
    sizes = input.shape[2:]
    result = [n + low + high for n, (low, high) in zip(sizes, pairs, strict=True)]
    if max(result) >= 2**31 or math.prod((*input.shape[:2], *result)) >= 2**60:
        raise ValueError(f"{op}: padding {pairs} of {input.shape} gives an axis too long to index")
    tables = [
        _positions(mode, n, low, high, axis)
        for axis, (n, (low, high)) in enumerate(zip(sizes, pairs, strict=True), start=2)
    ]
    return take(op, input, tables, memory_format, out)[0]
