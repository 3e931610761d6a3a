"""Batch transforms: normalisation and label-preserving augmentation, as plain NumPy.

Each is called as `transform(images, rng)` on a batch (N, C, H, W) and returns a new batch.
"""

from __future__ import annotations

import operator
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

    Mean and deviation are a number each, or one for every channel. It draws nothing; `rng` is there
    because every transform is called alike.

    Raises
    ------
    ValueError
        Numbers that are not finite, a deviation that is not positive, another number of channels.
    """

    mean: float | Sequence[float]
    std: float | Sequence[float]

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            value = getattr(self, name)
            if np.ndim(value):
                object.__setattr__(self, name, tuple(float(each) for each in value))
        mean, std = np.asarray(self.mean, np.float64), np.asarray(self.std, np.float64)
        if max(mean.ndim, std.ndim) > 1 or len({a.size for a in (mean, std) if a.ndim} - {0}) > 1:
            raise ValueError(f"Normalize: mean and std differ in channels: {self.mean}, {self.std}")
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ValueError(
                f"Normalize: normalisation by mean {self.mean} and std {self.std} is impossible"
            )

    def __call__(self, images: Array, rng: np.random.Generator | None = None) -> Array:
        mean, std = np.asarray(self.mean, np.float64), np.asarray(self.std, np.float64)
        channels = max(mean.size, std.size)
        if mean.ndim or std.ndim:
            if images.ndim != 4 or images.shape[1] != channels:
                raise ValueError(
                    f"Normalize: needs images (N, {channels}, H, W), got shape {images.shape}"
                )
            mean, std = (np.broadcast_to(each, channels)[:, None, None] for each in (mean, std))
        scale = np.float32(1 / (255 * std))
        shift = np.float32(mean / std)
        return np.asarray(images * scale - shift)


@dataclass(frozen=True)
class RandomHorizontalFlip:
    """Mirror each image left to right with probability `p`."""

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"RandomHorizontalFlip: p must lie in 0..1, got {self.p}")

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        flip = rng.random(len(images)) < self.p
        return np.where(flip[:, None, None, None], images[..., ::-1], images)


@dataclass(frozen=True)
class RandomShift:
    """Move each image by up to `pixels` in both directions, zeros coming in at the edges.

    Both offsets are uniform over the integers -pixels..pixels, drawn anew for every image.
    """

    pixels: int = 2

    def __post_init__(self) -> None:
        if operator.index(self.pixels) < 0:
            raise ValueError(f"RandomShift: pixels must not be negative, got {self.pixels}")

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        n, _, height, width = images.shape
        reach = ((0, 0), (0, 0), (self.pixels, self.pixels), (self.pixels, self.pixels))
        padded = np.pad(images, reach)
        # A view (N, C, 2p+1, 2p+1, H, W) of every possible crop, of which each image keeps one.
        crops = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
        down, right = rng.integers(0, 2 * self.pixels + 1, (2, n))
        return crops[np.arange(n), :, down, right]
