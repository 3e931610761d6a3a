"""Sampling images at the points of a grid: `affine_grid`, `grid_sample`, and `warp_affine` in one pass.

A grid holds a point (x, y) or (x, y, z) for every output pixel, -1 and 1 being the ends of the image.
Everything is differentiable by image and by points, so a network can learn where to look.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from ..autograd import Tensor, as_array, primitive
from .arguments import destination, memory_format_of, operand, real, same_dtype, sizes

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


@primitive
def _grid_sample(input: Any, grid: Any, how: Any, memory_format: Any, out: Any) -> Any:
    """`how` is (mode, padding_mode, align_corners)."""
    return _core.grid_sample_forward(input, grid, *how, memory_format, out)


@primitive
def _grid_sample_input_grad(
    input_shape: Any, grad_output: Any, grid: Any, how: Any, memory_format: Any
) -> Any:
    return _core.grid_sample_input_grad(input_shape, grad_output, grid, *how, memory_format)


@primitive
def _grid_sample_grid_grad(input: Any, grad_output: Any, grid: Any, how: Any) -> Any:
    return _core.grid_sample_grid_grad(input, grad_output, grid, *how)


@_grid_sample.vjp("input")
def _(grad: Any, input_shape: Any, grid: Any, how: Any) -> Any:
    return _grid_sample_input_grad(input_shape, grad, grid, how, None)


@_grid_sample.vjp("grid")
def _(grad: Any, input: Any, grid: Any, how: Any) -> Any:
    return _grid_sample_grid_grad(input, grad, grid, how)


# The sampling is linear in the image, so these two have second derivatives by gradient and image.
@_grid_sample_input_grad.vjp("grad_output")
def _(grad: Any, grid: Any, how: Any) -> Any:
    return _grid_sample(grad, grid, how, None, None)


@_grid_sample_input_grad.vjp("grid")
def _(grad: Any, grad_output: Any, grid: Any, how: Any) -> Any:
    return _grid_sample_grid_grad(grad, grad_output, grid, how)


def _how(op: str, mode: Any, padding_mode: Any, align_corners: Any) -> tuple[str, str, bool]:
    if not isinstance(mode, str) or mode not in _MODES:
        raise ValueError(f"{op}: mode must be 'bilinear', 'nearest' or 'bicubic', got {mode!r}")
    if not isinstance(padding_mode, str) or padding_mode not in _PADDINGS:
        raise ValueError(
            f"{op}: padding_mode must be 'zeros', 'border' or 'reflection', got {padding_mode!r}"
        )
    return mode, padding_mode, bool(align_corners)


def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Any:
    """The points ``theta (x, y, 1)`` of every output pixel, for `grid_sample`.

    Parameters
    ----------
    theta : array_like or Tensor, shape (N, 2, 3) or (N, 3, 4), float32 or float64
        An affine map for every image, from the output to the input, both spanning -1..1.
    size : tuple of ints
        Shape of the output, (N, C, H, W) or (N, C, D, H, W).
    align_corners : bool, optional
        Whether -1 and 1 are the centres (True) or the outer edges of the corner pixels.

    Returns
    -------
    ndarray, or Tensor for a Tensor, shape (N, H, W, 2) or (N, D, H, W, 3)

    Raises
    ------
    TypeError, ValueError
        Another dtype or shape; a size that does not fit theta.

    References
    ----------
    M. Jaderberg et al., "Spatial Transformer Networks", 2015. Lecture 000 (enumerated transforms).
    """
    op = "affine_grid"
    theta = operand(op, "theta", theta)
    size = sizes(op, "size", size)
    rank = len(size) - 2
    if rank not in (2, 3) or min(size) < 0:
        raise ValueError(f"{op}: size must be (N, C, H, W) or (N, C, D, H, W), got {size}")
    if theta.shape != (size[0], rank, rank + 1):
        raise ValueError(
            f"{op}: theta must have shape {(size[0], rank, rank + 1)} for size {size}, "
            f"got {theta.shape}"
        )
    axes = [_ends(n, bool(align_corners), theta.dtype) for n in size[2:]]
    points = np.ones((*size[2:], rank + 1), theta.dtype)
    for axis, along in enumerate(np.meshgrid(*axes, indexing="ij")):
        points[..., rank - 1 - axis] = along
    flat = points.reshape(1, -1, rank + 1)
    if isinstance(theta, Tensor):
        grid: Any = Tensor(flat) @ theta.transpose(0, 2, 1)
    else:
        grid = flat @ theta.transpose(0, 2, 1)
    return grid.reshape(size[0], *size[2:], rank)


def _ends(count: int, align_corners: bool, dtype: Any) -> Any:
    """The coordinates of the pixels of an axis."""
    if align_corners:
        return np.linspace(-1, 1, count, dtype=dtype) if count > 1 else np.zeros(count, dtype)
    return ((2 * np.arange(count) + 1) / max(count, 1) - 1).astype(dtype)


def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Read images at the points of a grid: ``y[n, :, i, j]`` is image n at ``grid[n, i, j]``.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H, W) or (N, C, D, H, W), float32 or float64
    grid : array_like or Tensor, shape (N, H', W', 2) or (N, D', H', W', 3)
        Points, x (along the width) first. NaN counts as before the first pixel.
    mode : {"bilinear", "nearest", "bicubic"}
        The last for images of two spatial axes only.
    padding_mode : {"zeros", "border", "reflection"}
        What lies outside: zeros, the pixel at the edge, or the image mirrored.
    align_corners : bool, optional
        Whether -1 and 1 are the centres (True) or the outer edges of the corner pixels.
    memory_format, out
        As for `conv2d`.

    Returns
    -------
    ndarray, or Tensor for a Tensor, shape (N, C, H', W') or (N, C, D', H', W')

    Raises
    ------
    TypeError, ValueError
        Another dtype, shape or mode; different dtypes; an empty image.

    Notes
    -----
    Where the weight of a pixel is zero the pixel is not read, so infinities stay where they are.

    References
    ----------
    M. Jaderberg et al., "Spatial Transformer Networks", 2015. Lecture 000 (enumerated transforms).
    """
    op = "grid_sample"
    input, grid = operand(op, "input", input), operand(op, "grid", grid)
    same_dtype(op, input=input, grid=grid)
    how = _how(op, mode, padding_mode, align_corners)
    memory_format = memory_format_of(op, memory_format)
    return _grid_sample(input, grid, how, memory_format, destination(op, out, input, grid))


def warp_affine(
    input: Any,
    matrices: Any,
    size: Any = None,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    fill: Any = None,
    *,
    memory_format: str | None = None,
    out: Any = None,
) -> Any:
    """Read every image through an affine map of pixels, in one pass and without a grid in memory.

    Output pixel (x, y) of image n is the input at ``matrices[n] @ (x, y, 1)``, in pixels: the centre
    of the first one is (0, 0). Not differentiable: `affine_grid` with `grid_sample` is.

    Parameters
    ----------
    input : array_like, shape (N, C, H, W) or (N, C, D, H, W), float32 or float64
    matrices : array_like, shape (N, 2, 3) or (N, 3, 4)
        From output to input, x first.
    size : tuple of ints, optional
        Spatial size of the result, by default that of the input.
    mode, padding_mode
        As for `grid_sample`.
    fill : float or one float a channel, optional
        The value of what lies outside, with padding_mode="zeros".
    memory_format, out
        As for `conv2d`.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError, ValueError
        A Tensor; another dtype, shape or mode; a fill that does not fit.

    References
    ----------
    Lecture 004 (data augmentation).
    """
    op = "warp_affine"
    if isinstance(input, Tensor) or isinstance(matrices, Tensor):
        raise TypeError(f"{op}: needs arrays; affine_grid and grid_sample are differentiable")
    input = as_array(input, f"{op}: input")
    matrices = np.asarray(as_array(matrices, f"{op}: matrices"), dtype=input.dtype)
    size = input.shape[2:] if size is None else sizes(op, "size", size)
    how = _how(op, mode, padding_mode, False)[:2]
    if fill is not None:
        if padding_mode != "zeros":
            raise ValueError(f"{op}: fill has no meaning with padding_mode={padding_mode!r}")
        channels = input.shape[1] if input.ndim > 1 else 1
        values = [fill] * channels if not np.iterable(fill) else list(fill)
        if len(values) != channels:
            raise ValueError(
                f"{op}: fill must be a number or one for each of {channels} channels, got {fill!r}"
            )
        fill = np.array([real(op, "fill", value) for value in values], input.dtype)
    memory_format = memory_format_of(op, memory_format)
    out = destination(op, out, input)
    return _core.warp_affine(input, matrices, size, *how, fill, memory_format, out)
