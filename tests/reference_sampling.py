"""What resizing and sampling mean, in plain NumPy and float64; imports nothing of ours.

Resizing is a dense matrix for every axis; sampling is a loop over output pixels. Slow, and meant to
be read beside the definitions in PyTorch's documentation.
"""

import itertools
import math

import numpy as np


def cubic(x, sharpness):
    """Keys' cubic convolution kernel."""
    x = abs(x)
    if x < 1:
        return (sharpness + 2) * x**3 - (sharpness + 3) * x**2 + 1
    if x < 2:
        return sharpness * (x**3 - 5 * x**2 + 8 * x - 4)
    return 0.0


def resizing_matrix(n, m, mode, align_corners=False, antialias=False, scale_factor=None):
    """The (m, n) matrix that brings one axis of n pixels to m."""
    matrix = np.zeros((m, n))
    step = n / m if scale_factor is None else 1 / scale_factor
    if align_corners:
        step = (n - 1) / (m - 1) if m > 1 else 0.0
    for o in range(m):
        if mode == "nearest":
            at = o * n // m if scale_factor is None else math.floor(o * step)
            matrix[o, min(at, n - 1)] = 1
        elif mode == "nearest-exact":
            at = (
                (2 * o + 1) * n // (2 * m) if scale_factor is None else math.floor((o + 0.5) * step)
            )
            matrix[o, min(at, n - 1)] = 1
        elif mode == "area":
            window = slice(o * n // m, -(-(o + 1) * n // m))
            matrix[o, window] = 1 / (window.stop - window.start)
        elif antialias:
            width, center = max(step, 1.0), step * (o + 0.5)
            support = width if mode == "linear" else 2 * width
            first = max(int(center - support + 0.5), 0)
            last = min(int(center + support + 0.5), n)
            for i in range(first, last):
                x = (i + 0.5 - center) / width
                matrix[o, i] = max(1 - abs(x), 0) if mode == "linear" else cubic(x, -0.5)
            matrix[o] /= matrix[o].sum()
        else:
            at = o * step if align_corners else (o + 0.5) * step - 0.5
            if mode == "linear":
                at = max(at, 0.0)
            left = math.floor(at)
            taps = (0, 1) if mode == "linear" else (-1, 0, 1, 2)
            for t in taps:
                weight = 1 - abs(at - left - t) if mode == "linear" else cubic(at - left - t, -0.75)
                matrix[o, min(max(left + t, 0), n - 1)] += weight
    return matrix


def along_axes(x, matrices):
    """Each matrix applied to its spatial axis."""
    for axis, matrix in enumerate(matrices, start=2):
        x = np.moveaxis(np.tensordot(matrix, x, axes=(1, axis)), 0, axis)
    return x


def resize(x, size, mode, align_corners=False, antialias=False, scale_factor=None):
    scales = scale_factor or (None,) * len(size)
    return along_axes(
        x,
        [
            resizing_matrix(n, m, mode, align_corners, antialias, s)
            for n, m, s in zip(x.shape[2:], size, scales, strict=True)
        ],
    )


def resize_input_grad(input_shape, g, mode, align_corners=False, antialias=False):
    return along_axes(
        g,
        [
            resizing_matrix(n, m, mode, align_corners, antialias).T
            for n, m in zip(input_shape[2:], g.shape[2:], strict=True)
        ],
    )


# ---- sampling at points --------------------------------------------------------------------


def _pad_position(at, size, padding, align_corners):
    if padding == "reflection":
        low = 0 if align_corners else -0.5
        span = size - 1 if align_corners else size
        if span == 0:
            return 0.0
        flips, extra = divmod(abs(at - low), span)
        at = low + (extra if flips % 2 == 0 else span - extra)
    if padding != "zeros":
        at = min(max(at, 0), size - 1)
    return at


def _axis_taps(at, size, mode, padding, align_corners):
    """(index, weight) pairs; an index outside of the image is None."""
    if mode != "bicubic":
        at = _pad_position(at, size, padding, align_corners)
    left = math.floor(at)
    if mode == "nearest":
        taps = [(round(at), 1.0)]
    elif mode == "bilinear":
        taps = [(left, 1 - (at - left)), (left + 1, at - left)]
    else:
        taps = [
            (_pad_position(left + t, size, padding, align_corners), cubic(at - left - t, -0.75))
            for t in (-1, 0, 1, 2)
        ]
    return [(int(i) if 0 <= i < size else None, w) for i, w in taps]


def sampling_taps(position, size, mode, padding, align_corners=False):
    """Yield (index into the spatial axes or None, weight) at a position in pixels, x first."""
    axes = [
        _axis_taps(at, n, mode, padding, align_corners)
        for at, n in zip(position, size[::-1], strict=True)
    ]
    for taps in itertools.product(*axes[::-1]):
        index = tuple(i for i, _ in taps)
        yield (None if None in index else index), math.prod(w for _, w in taps)


def _in_pixels(point, size, align_corners):
    if align_corners:
        return [(x + 1) / 2 * (n - 1) for x, n in zip(point, size[::-1], strict=True)]
    return [((x + 1) * n - 1) / 2 for x, n in zip(point, size[::-1], strict=True)]


def grid_sample(x, grid, mode="bilinear", padding="zeros", align_corners=False):
    y = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for n, *place in np.ndindex(*grid.shape[:-1]):
        position = _in_pixels(grid[(n, *place)].astype(float), x.shape[2:], align_corners)
        for index, weight in sampling_taps(position, x.shape[2:], mode, padding, align_corners):
            if index is not None:
                y[(n, slice(None), *place)] += weight * x[(n, slice(None), *index)]
    return y


def grid_sample_input_grad(shape, g, grid, mode="bilinear", padding="zeros", align_corners=False):
    grad = np.zeros(shape)
    for n, *place in np.ndindex(*grid.shape[:-1]):
        position = _in_pixels(grid[(n, *place)].astype(float), shape[2:], align_corners)
        for index, weight in sampling_taps(position, shape[2:], mode, padding, align_corners):
            if index is not None:
                grad[(n, slice(None), *index)] += weight * g[(n, slice(None), *place)]
    return grad


def warp_affine(x, matrices, size, mode="bilinear", padding="zeros", fill=None):
    y = np.zeros((*x.shape[:2], *size))
    outside = np.zeros(x.shape[1]) if fill is None else np.asarray(fill)
    for n, *place in np.ndindex(x.shape[0], *size):
        position = matrices[n].astype(float) @ np.array([*place[::-1], 1.0])
        for index, weight in sampling_taps(position, x.shape[2:], mode, padding):
            value = outside if index is None else x[(n, slice(None), *index)]
            y[(n, slice(None), *place)] += weight * value
    return y
