"""Batch transforms: normalisation and label-preserving augmentation, as plain NumPy.

Each is called as `transform(images, rng)` on a batch (N, C, H, W) and returns a new batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .loader import Array, Transform


@dataclass(frozen=True)
class Compose:
    """Apply several transforms, first to last."""

    transforms: Sequence[Transform]

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        for transform in self.transforms:
            images = transform(images, rng)
        return images


@dataclass(frozen=True)
class Normalize:
    """Bytes 0..255 to float32 with roughly zero mean and unit variance: (x / 255 - mean) / std.

    It draws nothing; `rng` is there because every transform is called alike.
    """

    mean: float
    std: float

    def __call__(self, images: Array, rng: np.random.Generator | None = None) -> Array:
        scale = np.float32(1 / (255 * self.std))
        shift = np.float32(self.mean / self.std)
        return images * scale - shift


@dataclass(frozen=True)
class RandomHorizontalFlip:
    """Mirror each image left to right with probability `p`."""

    p: float = 0.5

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        flip = rng.random(len(images)) < self.p
        return np.where(flip[:, None, None, None], images[..., ::-1], images)


@dataclass(frozen=True)
class RandomShift:
    """Move each image by up to `pixels` in both directions, zeros coming in at the edges.

    Both offsets are uniform over the integers -pixels..pixels, drawn anew for every image.
    """

    pixels: int = 2

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        n, _, height, width = images.shape
        reach = ((0, 0), (0, 0), (self.pixels, self.pixels), (self.pixels, self.pixels))
        padded = np.pad(images, reach)
        # A view (N, C, 2p+1, 2p+1, H, W) of every possible crop, of which each image keeps one.
        crops = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
        down, right = rng.integers(0, 2 * self.pixels + 1, (2, n))
        return crops[np.arange(n), :, down, right]
