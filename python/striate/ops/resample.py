"""Changing the size of images: downsampling, zero insertion and interpolation.

All are linear, and come in pairs that are each other's transpose (up to the sizes, which a gradient
must be told: lecture 000's "simply use one as the backward of the other" forgets them).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from .. import _core
from ..autograd import primitive
from .arguments import (
    destination,
    image,
    memory_format_of,
    per_axis,
    real,
    sizes,
)

Mode = Literal["nearest", "nearest-exact", "linear", "cubic", "area", "area-sum"]
How = tuple["tuple[float, ...] | None", Mode, bool, bool]

# What each mode is called: a name for any rank, and PyTorch's for one rank.
_MODES: dict[str, Mode] = {
    "nearest": "nearest",
    "nearest-exact": "nearest-exact",
    "area": "area",
    "linear": "linear",
    "cubic": "cubic",
}
_MODES_OF_RANK: dict[int, dict[str, Mode]] = {
    1: {},
    2: {"bilinear": "linear", "bicubic": "cubic"},
    3: {"trilinear": "linear"},
}


@primitive
def _downsample(input: Any, factor: Any, memory_format: Any, out: Any) -> Any:
    return _core.downsample(input, factor, memory_format, out)


@primitive
def _upsample_zeros(input: Any, factor: Any, size: Any, memory_format: Any, out: Any) -> Any:
    return _core.upsample_zeros(input, factor, size, memory_format, out)


@primitive
def _interpolate(input: Any, size: Any, how: How, memory_format: Any, out: Any) -> Any:
    """`how` is (scale, mode, align_corners, antialias)."""
    return _core.interpolate_forward(input, size, *how, memory_format, out)


@primitive
def _interpolate_grad(
    input_shape: Any, grad_output: Any, how: How, memory_format: Any, out: Any
) -> Any:
    return _core.interpolate_input_grad(input_shape, grad_output, *how, memory_format, out)


@_downsample.vjp("input")
def _(grad: Any, input_shape: Any, factor: Any) -> Any:
    return _upsample_zeros(grad, factor, input_shape[2:], None, None)


@_interpolate.vjp("input")
def _(grad: Any, input_shape: Any, how: Any) -> Any:
    return _interpolate_grad(input_shape, grad, how, None, None)


@_interpolate_grad.vjp("grad_output")
def _(grad: Any, grad_output_shape: Any, how: Any) -> Any:
    return _interpolate(grad, grad_output_shape[2:], how, None, None)


_upsample_zeros.vjp("input")(lambda grad, factor: _downsample(grad, factor, None, None))


def downsample(
    input: Any, factor: Any, *, memory_format: str | None = None, out: Any = None
) -> Any:
    """Keep the elements 0, f, 2f, ... of every spatial axis: ``y[i, j] = x[i * f, j * f]``.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, spatial...), float32 or float64
    factor : int or one int a spatial axis
    memory_format, out
        As for `conv2d`.

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Spatial sizes ceil(n / factor).

    Raises
    ------
    TypeError, ValueError
        Another dtype or rank; a factor below one.

    References
    ----------
    Lecture 000 (downsampling layer).
    """
    op = "downsample"
    input, rank = image(op, "input", input)
    factor = per_axis(op, "factor", factor, rank)
    memory_format = memory_format_of(op, memory_format)
    return _downsample(input, factor, memory_format, destination(op, out, input))


def upsample_zeros(
    input: Any,
    factor: Any,
    output_size: Any = None,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Write the input to 0, f, 2f, ... of every spatial axis, among zeros: ``y[i * f] = x[i]``.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, spatial...), float32 or float64
    factor : int or one int a spatial axis
    output_size : int or one int a spatial axis, optional
        n * factor by default; any size that `downsample` would bring back to n.
    memory_format, out
        As for `conv2d`.

    Returns
    -------
    ndarray, or Tensor for a Tensor

    Raises
    ------
    TypeError, ValueError
        Another dtype or rank; a factor below one; an output size that does not fit.

    References
    ----------
    Lecture 000 (upsampling layer), 001 (bed of nails).
    """
    op = "upsample_zeros"
    input, rank = image(op, "input", input)
    factor = per_axis(op, "factor", factor, rank)
    if output_size is None:
        size = sizes(
            op, "output_size", [n * f for n, f in zip(input.shape[2:], factor, strict=True)]
        )
    else:
        size = per_axis(op, "output_size", output_size, rank)
    memory_format = memory_format_of(op, memory_format)
    return _upsample_zeros(input, factor, size, memory_format, destination(op, out, input))


def _interpolation(
    op: str, rank: int, scale: Any, mode: Any, align_corners: Any, antialias: Any
) -> How:
    """(scale, mode, align_corners, antialias) as `_core` takes them."""
    names = _MODES | _MODES_OF_RANK[rank]
    if not isinstance(mode, str) or mode not in names:
        *most, last = map(repr, names)
        raise ValueError(
            f"{op}: mode must be {', '.join(most)} or {last} with {rank} spatial axes, got {mode!r}"
        )
    for name, value in (("align_corners", align_corners), ("antialias", antialias)):
        if value and names[mode] not in ("linear", "cubic"):
            raise ValueError(f"{op}: {name} has no meaning with mode={mode!r}")
    if scale is not None:
        given = tuple(scale) if np.iterable(scale) else (scale,) * rank
        scale = tuple(real(op, "scale_factor", factor) for factor in given)
        if len(scale) != rank:
            raise ValueError(
                f"{op}: scale_factor must be a number or {rank} numbers, got {given!r}"
            )
        if not all(0.0 < s < np.inf for s in scale):
            raise ValueError(f"{op}: scale_factor must be positive and finite, got {scale}")
        if not all(1.0 / s < np.inf for s in scale):  # what positions are multiplied by
            raise ValueError(f"{op}: scale_factor must have a finite reciprocal, got {scale}")
    return scale, names[mode], bool(align_corners), bool(antialias)


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Resize images: every axis of n pixels becomes one of m, its step being r = n / m.

    Pixel i of the result, along each axis in turn, is

    - nearest: pixel ``floor(i r)``; nearest-exact: pixel ``floor((i + 1/2) r)``;
    - linear: between the two pixels around ``(i + 1/2) r - 1/2``, clamped to the image;
    - cubic: Keys' cubic (sharpness -3/4) over the four pixels around that point, where pixels past
      an end repeat the last one;
    - area: the mean of the pixels that ``[i r, (i + 1) r)`` touches, as adaptive average pooling.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, spatial...), float32 or float64
    size : int or one int a spatial axis
    scale_factor : float or one float a spatial axis
        Exactly one of `size` and `scale_factor`; the size is then floor(n * scale_factor) and the
        step r is 1 / scale_factor (but n / m in mode "area").
    mode : {"nearest", "nearest-exact", "area", "linear", "cubic", ...}
        "bilinear", "trilinear" and "bicubic" are names of "linear" and "cubic" for two, three and
        two spatial axes.
    align_corners : bool, optional
        For linear and cubic: whether the centres (True) or the outer edges of the corner pixels
        stay in place; then the points are ``i (n - 1) / (m - 1)``.
    recompute_scale_factor : bool, optional
        Take n / m as the step even where `scale_factor` is given.
    antialias : bool
        For linear and cubic: where r > 1 widen the filter to r pixels, so that it averages all that
        an output pixel covers (the cubic then has sharpness -1/2, as Pillow's).
    memory_format, out
        As for `conv2d`.

    Returns
    -------
    ndarray, or Tensor for a Tensor

    Raises
    ------
    TypeError, ValueError
        Another dtype, rank or mode; both or neither of size and scale_factor; align_corners or
        antialias in a mode that has none; an empty result.

    Notes
    -----
    Nearest positions are exact where `size` is given; PyTorch computes them in float32, and may
    fall one pixel short where a position is a whole number.

    References
    ----------
    Lecture 001 (unpooling by nearest neighbour).
    """
    op = "interpolate"
    input, rank = image(op, "input", input)
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{op}: give one of size and scale_factor, got {size}, {scale_factor}")
    if recompute_scale_factor and size is not None:
        raise ValueError(f"{op}: recompute_scale_factor has no meaning with size={size}")
    how = _interpolation(op, rank, scale_factor, mode, align_corners, antialias)
    scale = how[0]
    if scale is not None:
        exact = [n * s for n, s in zip(input.shape[2:], scale, strict=True)]
        if not all(n < 2.0**63 for n in exact):
            raise ValueError(f"{op}: scale_factor {scale} gives a size that does not fit 64 bits")
        size = [int(np.floor(n)) for n in exact]
        if recompute_scale_factor:
            how = (None, *how[1:])
    size = per_axis(op, "size", size, rank)
    memory_format = memory_format_of(op, memory_format)
    return _interpolate(input, size, how, memory_format, destination(op, out, input))


def interpolate_input_grad(
    input_shape: Any,
    grad_output: Any,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    antialias: bool = False,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `interpolate`, its exact transpose: of shape `input_shape`.

    `scale_factor` (None if it was recomputed), `mode`, `align_corners` and `antialias` are those of
    the call to `interpolate`; the output's size is that of `grad_output`.
    """
    op = "interpolate_input_grad"
    input_shape = sizes(op, "input_shape", input_shape)
    grad_output, rank = image(op, "grad_output", grad_output)
    how = _interpolation(op, rank, scale_factor, mode, align_corners, antialias)
    memory_format = memory_format_of(op, memory_format)
    out = destination(op, out, grad_output)
    return _interpolate_grad(input_shape, grad_output, how, memory_format, out)
