"""Sampling images at the points of a grid, and warping them by affine maps in one pass.

A grid holds a point (x, y) or (x, y, z) for every output pixel, -1 and 1 being the ends of the
image. `grid_sample` is differentiable by image and points, so a network can learn where to look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from .. import _core
from ..autograd import Tensor, as_array, primitive
from .arguments import destination, memory_format_of, operand, real, same_dtype, sizes

if TYPE_CHECKING:
    import numpy.typing as npt

Mode = Literal["nearest", "bilinear", "bicubic"]
Padding = Literal["zeros", "border", "reflection"]
How = tuple[Mode, Padding]


@primitive
def _grid_sample(
    input: Any, grid: Any, how: How, corners: bool, memory_format: Any, out: Any
) -> Any:
    """`how` is (mode, padding_mode)."""
    return _core.grid_sample_forward(input, grid, *how, corners, memory_format, out)


@primitive
def _grid_sample_input_grad(
    input_shape: Any, grad_output: Any, grid: Any, how: How, corners: bool
) -> Any:
    return _core.grid_sample_input_grad(input_shape, grad_output, grid, *how, corners, None)


@primitive
def _grid_sample_grid_grad(input: Any, grad_output: Any, grid: Any, how: How, corners: bool) -> Any:
    return _core.grid_sample_grid_grad(input, grad_output, grid, *how, corners)


@_grid_sample.vjp("input")
def _(grad: Any, input_shape: Any, grid: Any, how: Any, corners: Any) -> Any:
    return _grid_sample_input_grad(input_shape, grad, grid, how, corners)


@_grid_sample.vjp("grid")
def _(grad: Any, input: Any, grid: Any, how: Any, corners: Any) -> Any:
    return _grid_sample_grid_grad(input, grad, grid, how, corners)


# The gradient by the image has rules of its own; that by the points has none, and says so.
@_grid_sample_input_grad.vjp("grad_output")
def _(grad: Any, grid: Any, how: Any, corners: Any) -> Any:
    return _grid_sample(grad, grid, how, corners, None, None)


@_grid_sample_input_grad.vjp("grid")
def _(grad: Any, grad_output: Any, grid: Any, how: Any, corners: Any) -> Any:
    return _grid_sample_grid_grad(grad, grad_output, grid, how, corners)


@primitive
def _warp(
    input: Any, matrices: Any, size: Any, how: How, fill: Any, memory_format: Any, out: Any
) -> Any:
    return _core.warp_affine(input, matrices, size, *how, fill, memory_format, out)


@primitive
def _warp_grad(input_shape: Any, grad_output: Any, matrices: Any, how: How) -> Any:
    return _core.warp_affine_input_grad(input_shape, grad_output, matrices, *how, None)


@_warp.vjp("input")
def _(grad: Any, input_shape: Any, matrices: Any, how: Any) -> Any:
    return _warp_grad(input_shape, grad, matrices, how)


@_warp_grad.vjp("grad_output")
def _(grad: Any, grad_output_shape: Any, matrices: Any, how: Any) -> Any:
    return _warp(grad, matrices, grad_output_shape[2:], how, None, None, None)


def _how(op: str, mode: Any, padding_mode: Any) -> How:
    modes: dict[Any, Mode] = {name: name for name in get_args(Mode)}
    paddings: dict[Any, Padding] = {name: name for name in get_args(Padding)}
    if not isinstance(mode, str) or mode not in modes:
        raise ValueError(f"{op}: mode must be 'bilinear', 'nearest' or 'bicubic', got {mode!r}")
    if not isinstance(padding_mode, str) or padding_mode not in paddings:
        raise ValueError(
            f"{op}: padding_mode must be 'zeros', 'border' or 'reflection', got {padding_mode!r}"
        )
    return modes[mode], paddings[padding_mode]


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
    try:
        axes = [_ends(n, bool(align_corners), theta.dtype) for n in size[2:]]
        points = np.ones((*size[2:], rank + 1), theta.dtype)
    except (MemoryError, ValueError):  # the latter where the size does not fit an index
        raise MemoryError(f"{op}: the points of size {size} do not fit into memory") from None
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
    how = _how(op, mode, padding_mode)
    memory_format = memory_format_of(op, memory_format)
    out = destination(op, out, input, grid)
    return _grid_sample(input, grid, how, bool(align_corners), memory_format, out)


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

    Output pixel (x, y) of image n is the input at ``matrices[n] @ (x, y, 1)``, in pixels: the
    centre of the first one is (0, 0). Differentiable by the image; for gradients of the map see
    `affine_grid` and `grid_sample`.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C, H, W) or (N, C, D, H, W), float32 or float64
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
    ndarray, or Tensor for a Tensor

    Raises
    ------
    TypeError, ValueError
        Matrices that are a Tensor, or not finite; another dtype, shape or mode; a fill that does
        not fit.

    References
    ----------
    Lecture 000 (data augmentation).
    """
    op = "warp_affine"
    input = operand(op, "input", input)
    if isinstance(matrices, Tensor):
        raise TypeError(f"{op}: matrices must be an array; see affine_grid for a gradient of them")
    matrices = np.asarray(as_array(matrices, f"{op}: matrices"), dtype=input.dtype)
    if not np.isfinite(matrices).all():
        raise ValueError(f"{op}: matrices must be finite, got {matrices.tolist()}")
    size = input.shape[2:] if size is None else sizes(op, "size", size)
    how = _how(op, mode, padding_mode)
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
    return _warp(input, matrices, size, how, fill, memory_format, destination(op, out, input))


def affine_matrices(
    shape: Sequence[int],
    *,
    rotation: npt.ArrayLike = 0.0,
    translation: npt.ArrayLike = (0.0, 0.0),
    scale: npt.ArrayLike = 1.0,
    flip: npt.ArrayLike = False,
    shear: npt.ArrayLike = 0.0,
    stretch: npt.ArrayLike = 1.0,
) -> npt.NDArray[np.float64]:
    """The maps (N, 2, 3) from output to input pixels which `striate.warp_affine` takes.

    About the centre of the image a point is flipped, scaled and stretched, sheared, rotated, and
    then translated: ``out = centre + translation + R H S F (in - centre)``.

    Parameters
    ----------
    shape
        Of the batch, (N, C, H, W).
    rotation
        Degrees, counter-clockwise as seen; exact for whole quarter turns.
    translation
        (x, y) in pixels, to the right and down; one pair or one an image.
    scale
        Factor of both axes.
    flip
        Whether the image is mirrored left to right.
    shear
        Degrees by which vertical lines lean.
    stretch
        Factor of the width; the height is divided by it.

    Each may be one value for all or one an image.

    Raises
    ------
    TypeError, ValueError
        A shape of another form; a value that is not finite, or does not repeat to the batch; a
        scale or stretch that has no inverse.
    """
    op = "affine_matrices"
    shape = sizes(op, "shape", shape)
    if len(shape) != 4 or min(shape) < 0:
        raise ValueError(f"{op}: shape must be (N, C, H, W), got {shape}")
    n, _, height, width = shape

    def each(name: str, value: npt.ArrayLike, *axes: int) -> npt.NDArray[np.float64]:
        array = np.asarray(value, np.float64)
        if not np.isfinite(array).all():
            raise ValueError(f"{op}: {name} must be finite, got {value!r}")
        try:
            return np.broadcast_to(array, (n, *axes))
        except ValueError:
            raise ValueError(
                f"{op}: {name} must repeat to shape {(n, *axes)}, got shape {array.shape}"
            ) from None

    cos, sin = _cos_sin(each("rotation", rotation))
    lean = np.tan(np.radians(each("shear", shear)))
    zoom, factor = each("scale", scale), each("stretch", stretch)
    if not (zoom.all() and factor.all()):
        raise ValueError(
            f"{op}: scale and stretch must not be zero, got scale={scale!r}, stretch={stretch!r}"
        )
    mirrored = np.broadcast_to(np.asarray(flip, bool), (n,))
    with np.errstate(over="ignore", divide="ignore", under="ignore"):
        across, down = zoom * factor * np.where(mirrored, -1.0, 1.0), zoom / factor
        ends = np.stack([across, down, 1.0 / across, 1.0 / down])
    if not np.isfinite(ends).all():
        raise ValueError(
            f"{op}: scale and stretch, or what they invert to, overflow, got scale={scale!r}, "
            f"stretch={stretch!r}"
        )
    # The inverse of R [[1, lean], [0, 1]] diag(across, down), where y points down.
    inverse = np.empty((n, 2, 2))
    inverse[:, 0, 0] = (cos - lean * sin) / across
    inverse[:, 0, 1] = (-sin - lean * cos) / across
    inverse[:, 1, 0] = sin / down
    inverse[:, 1, 1] = cos / down
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    moved = centre + each("translation", translation, 2)
    offset = centre - np.einsum("nij,nj->ni", inverse, moved)
    return np.concatenate([inverse, offset[:, :, None]], axis=2)


def _cos_sin(degrees: npt.NDArray[np.float64]) -> tuple[Any, Any]:
    """Exact at whole quarter turns, where library functions leave 6e-17 for zero."""
    turns, rest = np.divmod(degrees, 90.0)
    cos, sin = np.cos(np.radians(rest)), np.sin(np.radians(rest))
    quarter = turns.astype(np.int64) % 4
    return (
        np.choose(quarter, [cos, -sin, -cos, sin]),
        np.choose(quarter, [sin, cos, -sin, -cos]),
    )
