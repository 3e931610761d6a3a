"""Other houses' orders of axes, as views: NHWC images and HWIO weights (TensorFlow, Keras).

Each function is a transposition of an array or a Tensor and copies nothing: an NHWC array becomes
one of shape (N, C, H, W) in channels-last memory, which is a fast layout here. Any dtype will do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Tensor


def _ready(op: str, value: Any) -> tuple[Any, int]:
    """The array or Tensor, and its number of axes, of which 1 to 3 are spatial."""
    value = value if isinstance(value, Tensor) else np.asarray(value)
    ndim = len(value.shape)
    if not 3 <= ndim <= 5:
        raise ValueError(f"{op}: needs 1 to 3 spatial axes and two more, got shape {value.shape}")
    return value, ndim


def to_nhwc(input: Any) -> Any:
    """`input` (N, C, spatial...) as (N, spatial..., C), a view. Lecture 004 writes images so."""
    input, ndim = _ready("to_nhwc", input)
    return input.transpose(0, *range(2, ndim), 1)


def from_nhwc(input: Any) -> Any:
    """`input` (N, spatial..., C) as (N, C, spatial...), a view, channels last. Lecture 004."""
    input, ndim = _ready("from_nhwc", input)
    return input.transpose(0, ndim - 1, *range(1, ndim - 1))


def hwio_to_oihw(weight: Any) -> Any:
    """A convolution's `weight` (spatial..., I, O) as (O, I, spatial...), a view. Lecture 004."""
    weight, ndim = _ready("hwio_to_oihw", weight)
    return weight.transpose(ndim - 1, ndim - 2, *range(ndim - 2))


def oihw_to_hwio(weight: Any) -> Any:
    """A convolution's `weight` (O, I, spatial...) as (spatial..., I, O), a view. Lecture 004."""
    weight, ndim = _ready("oihw_to_hwio", weight)
    return weight.transpose(*range(2, ndim), 1, 0)
