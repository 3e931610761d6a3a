"""Augmentation that hides a part of an image, or mixes two of them."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .loader import Array


@dataclass(frozen=True)
class Cutout:
    """Fill a square of `size` pixels around a random pixel of every image; it may reach outside.

    T. DeVries, G. Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout",
    2017.
    """

    size: int = 16
    fill: float = 0.0

    def __post_init__(self) -> None:
        if operator.index(self.size) < 1:
            raise ValueError(f"Cutout: size must be positive, got {self.size}")

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        if images.dtype.kind in "iu":
            limits = np.iinfo(images.dtype)
            if not limits.min <= self.fill <= limits.max:
                raise ValueError(f"Cutout: {images.dtype} images have no room for fill {self.fill}")
        n, _, height, width = images.shape
        top = rng.integers(0, height, (n, 1)) - self.size // 2
        left = rng.integers(0, width, (n, 1)) - self.size // 2
        rows, columns = np.arange(height), np.arange(width)
        down = (rows >= top) & (rows < top + self.size)
        right = (columns >= left) & (columns < left + self.size)
        hidden = down[:, None, :, None] & right[:, None, None, :]
        return np.where(hidden, images.dtype.type(self.fill), images)


def mixup(
    images: Array,
    labels: npt.ArrayLike,
    num_classes: int,
    alpha: float = 0.2,
    *,
    rng: int | np.random.Generator | None = None,
) -> tuple[Array, Array]:
    """Mix every image, and its label, with another one of the batch.

    ``lambda x[i] + (1 - lambda) x[j]`` with one lambda from Beta(alpha, alpha) for the batch and a
    random permutation for j; the labels (N,) become rows (N, num_classes) mixed in the same way.

    H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018.

    Raises
    ------
    TypeError, ValueError
        Images that are no floats, labels outside of 0..num_classes - 1 or of another number, an
        alpha that is not positive and finite.
    """
    labels = np.asarray(labels)
    if images.dtype not in (np.float32, np.float64):
        raise TypeError(f"mixup: images must be float32 or float64, got {images.dtype}")
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"mixup: labels must be {len(images)} integers, got {labels.dtype} {labels.shape}"
        )
    if len(labels) and not (0 <= labels.min() and labels.max() < num_classes):
        raise ValueError(
            f"mixup: labels must lie in 0..{num_classes - 1}, got {labels.min()}..{labels.max()}"
        )
    if not 0 < alpha < np.inf:
        raise ValueError(f"mixup: alpha must be positive and finite, got {alpha}")
    rng = np.random.default_rng(rng)
    share = images.dtype.type(rng.beta(alpha, alpha))
    other = rng.permutation(len(images))
    rows = np.eye(num_classes, dtype=images.dtype)[labels]
    rest = images.dtype.type(1) - share
    return share * images + rest * images[other], share * rows + rest * rows[other]
