"""Shuffles: channels become pixels, pixels channels, channels change places. Nothing is computed.

Each is one copy between two views: the input with some axes split, and the result with some axes
split, in one order of axes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .. import _core
from ..autograd import primitive
from .arguments import format_of, image, integer, memory_format_of, per_axis

INVERSE = {
    "pixel_shuffle": "pixel_unshuffle",
    "pixel_unshuffle": "pixel_shuffle",
    "channel_shuffle": "channel_shuffle",
}


class Views(NamedTuple):
    """The input split, the order of its axes in the result, the result's shape, and it split."""

    split: tuple[int, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]
    result_split: tuple[int, ...]


def _views(kind: str, shape: tuple[int, ...], factor: tuple[int, ...]) -> Views:
    n, channels, *size = shape
    rank = len(size)
    if kind == "channel_shuffle":
        (groups,) = factor
        of_group = channels // groups
        order = (0, 2, 1, *range(3, 3 + rank))
        return Views((n, groups, of_group, *size), order, shape, (n, of_group, groups, *size))
    if kind == "pixel_shuffle":
        fewer = channels // math.prod(factor)
        pairs = [entry for m, r in zip(size, factor, strict=True) for entry in (m, r)]
        order = (0, 1, *(axis for i in range(rank) for axis in (2 + rank + i, 2 + i)))
        larger = (m * r for m, r in zip(size, factor, strict=True))
        return Views((n, fewer, *factor, *size), order, (n, fewer, *larger), (n, fewer, *pairs))
    small = [m // r for m, r in zip(size, factor, strict=True)]
    pairs = [entry for m, r in zip(small, factor, strict=True) for entry in (m, r)]
    order = (0, 1, *(3 + 2 * i for i in range(rank)), *(2 + 2 * i for i in range(rank)))
    more = channels * math.prod(factor)
    return Views((n, channels, *pairs), order, (n, more, *small), (n, channels, *factor, *small))


@primitive(extra=("format",))
def _shuffle(op: str, input: Any, kind: str, factor: tuple[int, ...], memory_format: Any) -> Any:
    views = _views(kind, input.shape, factor)
    format = format_of(input)
    result = _core.empty(op, views.shape, input, memory_format or format)
    # to split axes needs no copy, whatever the strides
    _core.copy(
        op,
        input.reshape(views.split).transpose(views.order),
        result.reshape(views.result_split),
    )
    return result, format


@_shuffle.vjp("input")
def _(grad: Any, op: str, input_shape: Any, kind: str, factor: tuple[int, ...], format: Any) -> Any:
    back = (input_shape[1] // factor[0],) if kind == "channel_shuffle" else factor
    return _shuffle(op, grad, INVERSE[kind], back, format)[0]


def pixel_shuffle(input: Any, upscale_factor: Any, *, memory_format: str | None = None) -> Any:
    """Make r x r pixels of r x r channels.

    ``y[n, c, i * r + u, j * r + v] = x[n, (c * r + u) * r + v, i, j]``

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C r^2, H, W), float32 or float64
        Or with one or three spatial axes, and C r or C r^3 channels.
    upscale_factor : int or one int a spatial axis
        r
    memory_format : {None, "contiguous", "channels_last"}
        Of the result; None keeps the input's.

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Shape (N, C, H r, W r).

    Raises
    ------
    TypeError, ValueError
        Another dtype or rank; a factor below one; channels that do not split.

    References
    ----------
    Lecture 001 (upsampling inside a network); Shi et al. 2016, sub-pixel convolution.
    """
    op = "pixel_shuffle"
    input, rank = image(op, "input", input)
    factor = per_axis(op, "upscale_factor", upscale_factor, rank)
    if min(factor) < 1 or max(factor) >= 2**31 or input.shape[1] % math.prod(factor):
        raise ValueError(
            f"{op}: upscale_factor must be positive, and its product over the spatial axes divide "
            f"the channels, got {upscale_factor!r} for input {input.shape}"
        )
    return _shuffle(op, input, op, factor, memory_format_of(op, memory_format))[0]


def pixel_unshuffle(input: Any, downscale_factor: Any, *, memory_format: str | None = None) -> Any:
    """Make r x r channels of r x r pixels: the inverse of `pixel_shuffle`.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H r, W r), float32 or float64
    downscale_factor : int or one int a spatial axis
        r
    memory_format : {None, "contiguous", "channels_last"}
        Of the result; None keeps the input's.

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Shape (N, C r^2, H, W).

    Raises
    ------
    TypeError, ValueError
        Another dtype or rank; a factor below one; sizes that are no multiples of it.

    References
    ----------
    Lecture 000 (downsampling that loses nothing).
    """
    op = "pixel_unshuffle"
    input, rank = image(op, "input", input)
    factor = per_axis(op, "downscale_factor", downscale_factor, rank)
    if min(factor) < 1 or any(n % r for n, r in zip(input.shape[2:], factor, strict=True)):
        raise ValueError(
            f"{op}: downscale_factor must be positive and divide the spatial axes, got "
            f"{downscale_factor!r} for input {input.shape}"
        )
    if max(input.shape[1], 1) * math.prod(factor) >= 2**48:  # of no pixels: zero has any divisor
        raise ValueError(
            f"{op}: downscale_factor {downscale_factor!r} gives input {input.shape} too many "
            "channels to index"
        )
    return _shuffle(op, input, op, factor, memory_format_of(op, memory_format))[0]


def channel_shuffle(input: Any, groups: int, *, memory_format: str | None = None) -> Any:
    """Deal the channels of each group out to all: ``y[n, k g + i] = x[n, i (C / g) + k]``.

    Between grouped convolutions it lets every group see all others.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, spatial...), float32 or float64
    groups : int
        g; must divide C.
    memory_format : {None, "contiguous", "channels_last"}
        Of the result; None keeps the input's.

    Returns
    -------
    ndarray, or Tensor for a Tensor

    Raises
    ------
    TypeError, ValueError
        Another dtype or rank; groups that do not divide the channels.

    References
    ----------
    Lecture 003 (grouped convolution, ShuffleNet).
    """
    op = "channel_shuffle"
    input, _ = image(op, "input", input)
    count = integer(op, "groups", groups)
    if count < 1 or input.shape[1] < 1 or input.shape[1] % count:
        raise ValueError(
            f"{op}: groups must be positive and divide the channels, got {groups} for input "
            f"{input.shape}"
        )
    return _shuffle(op, input, op, (count,), memory_format_of(op, memory_format))[0]
