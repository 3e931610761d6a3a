"""Filters that answer to lines, for looking at what a convolution does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..ops.arguments import real

_HORIZONTAL = ((-1, -1, -1), (2, 2, 2), (-1, -1, -1))
_RISING = ((-1, -1, 2), (-1, 2, -1), (2, -1, -1))
_TAPS = {
    0: _HORIZONTAL,
    45: _RISING,
    90: tuple(zip(*_HORIZONTAL, strict=True)),
    135: tuple(row[::-1] for row in _RISING),
}


def line_filters(*degrees: float, dtype: Any = np.float32) -> npt.NDArray[np.floating[Any]]:
    """The 3x3 filters that find lines of some directions: 2 along the line, -1 beside it.

    They sum to 0, so even areas give 0; a line one pixel wide gives 6.

    Parameters
    ----------
    *degrees : 0, 45, 90 or 135
        Counter-clockwise from horizontal; all four, in this order, where none is named.
    dtype : float32 or float64

    Returns
    -------
    ndarray
        Of shape (filters, 1, 3, 3), the weight of a convolution of grayscale images.

    Raises
    ------
    TypeError, ValueError
        No number, or another dtype; another direction.

    References
    ----------
    Lecture 001, "Motivation: conv for edge detection".

    Examples
    --------
    >>> import striate
    >>> image = striate.nn.line_filters(45)  # the filter is an image of its line
    >>> striate.conv2d(image, striate.nn.line_filters()).ravel().tolist()
    [0.0, 18.0, 0.0, 0.0]
    """
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"line_filters: dtype must be float32 or float64, got {np.dtype(dtype)}")
    taps = []
    for angle in degrees or _TAPS:
        if real("line_filters", "degrees", angle) not in _TAPS:
            raise ValueError(f"line_filters: degrees must be among {tuple(_TAPS)}, got {angle!r}")
        taps.append([_TAPS[int(angle)]])
    return np.array(taps, dtype)
