"""What resizing and sampling mean, in plain NumPy and float64; imports nothing of ours.

Resizing is a dense matrix for every axis; sampling is a loop over output pixels. Slow, and meant to
be read beside the definitions in PyTorch's documentation.
"""

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
