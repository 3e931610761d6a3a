"""Geometric augmentation: every image of a batch is moved by a map of its own, in one pass.

Rotation, translation, scaling, flip, shear and stretch compose into one affine map an image, so an
image is resampled once however many of them are in play. The printed distributions of lecture 000
are the defaults of `Augment`. Like all transforms these take (images, rng), leave their input
alone, keep its dtype (bytes are rounded), and draw the same numbers from equal generators.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ops import affine_matrices, warp_affine
from .loader import Array

Size = int | tuple[int, int]
Fill = float | Sequence[float] | None


def _warp(
    images: Array, matrices: Array, size: Sequence[int], mode: str, padding_mode: str, fill: Fill
) -> Array:
    """`warp_affine` for bytes too, which it rounds."""
    if images.dtype != np.uint8:
        return np.asarray(warp_affine(images, matrices, size, mode, padding_mode, fill))
    moved = warp_affine(images.astype(np.float32), matrices, size, mode, padding_mode, fill)
    bounded: Array = np.clip(np.rint(moved), 0, 255).astype(np.uint8)
    return bounded


@dataclass(frozen=True)
class Augment:
    """Random rotation, translation, scaling, flip, shear and stretch in one resampling.

    The defaults are the distributions that lecture 000 prints. Each is drawn anew for every image,
    whether it is used or not, so switching one off leaves the others' draws as they were.

    Parameters
    ----------
    rotation : (float, float)
        Uniform between these degrees.
    translation : float
        Along both axes uniform over -translation..translation pixels.
    scale : float
        Log-uniform over 1/scale..scale.
    flip : float
        Probability of a mirror image.
    shear : float
        Uniform over -shear..shear degrees.
    stretch : float
        Log-uniform over 1/stretch..stretch.
    mode, padding_mode, fill
        As for `striate.warp_affine`.

    Raises
    ------
    ValueError
        A bound that is no bound: scale or stretch below 1, a negative translation or shear, a
        shear of 90 degrees or more, a probability outside 0..1; a rotation that is no pair of
        degrees; a mode or padding mode that `striate.warp_affine` does not have.

    References
    ----------
    Lecture 000 (data augmentation).
    """

    rotation: tuple[float, float] = (0.0, 360.0)
    translation: float = 10.0
    scale: float = 1.6
    flip: float = 0.5
    shear: float = 20.0
    stretch: float = 1.3
    mode: str = "bilinear"
    padding_mode: str = "zeros"
    fill: Fill = None

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("translation", self.translation, 0.0, math.inf),
            ("scale", self.scale, 1.0, math.inf),
            ("flip", self.flip, 0.0, 1.0),
            ("shear", self.shear, 0.0, 89.0),
            ("stretch", self.stretch, 1.0, math.inf),
        ):
            if not low <= value <= high or math.isinf(value):
                raise ValueError(f"Augment: {name} must lie in {low}..{high}, got {value}")
        _check_bounds("Augment", "rotation", self.rotation, -math.inf)
        # On one pixel, for its words about modes.
        _warp(
            np.zeros((1, 1, 1, 1), np.float32),
            np.eye(2, 3)[None],
            (1, 1),
            self.mode,
            self.padding_mode,
            None,
        )

    def draw(self, n: int, rng: np.random.Generator) -> dict[str, Array]:
        """The parameters of `n` images, as `affine_matrices` takes them."""
        low, high = self.rotation
        return {
            "rotation": rng.uniform(low, high, n),
            "translation": rng.uniform(-1.0, 1.0, (n, 2)) * self.translation,
            "scale": np.exp(rng.uniform(-1.0, 1.0, n) * math.log(self.scale)),
            "flip": rng.random(n) < self.flip,
            "shear": rng.uniform(-1.0, 1.0, n) * self.shear,
            "stretch": np.exp(rng.uniform(-1.0, 1.0, n) * math.log(self.stretch)),
        }

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        matrices = affine_matrices(images.shape, **self.draw(len(images), rng))
        return _warp(images, matrices, images.shape[2:], self.mode, self.padding_mode, self.fill)


def _check_bounds(name: str, what: str, value: Any, least: float) -> None:
    shape = np.shape(value)
    if shape != (2,) or not (np.isfinite(value).all() and least < value[0] <= value[1]):
        above = "" if least == -math.inf else f" above {least:g}"
        raise ValueError(f"{name}: {what} must be (low, high){above}, got {value!r}")


def image_size(name: str, value: Any) -> tuple[int, int]:
    """(height, width), from an int for both."""
    try:
        height, width = (value, value) if np.ndim(value) == 0 else value
        height, width = operator.index(height), operator.index(width)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: size must be an int or (height, width), got {value!r}") from None
    if min(height, width) < 1:
        raise ValueError(f"{name}: size must be positive, got {value!r}")
    return height, width


def _check_fits(name: str, size: tuple[int, int], shape: Sequence[int]) -> None:
    if size[0] > shape[0] or size[1] > shape[1]:
        raise ValueError(f"{name}: size {size} is larger than the images, {tuple(shape)}")


@dataclass(frozen=True)
class CenterCrop:
    """The middle of every image; a view. It draws nothing."""

    size: Size

    def __post_init__(self) -> None:
        image_size("CenterCrop", self.size)

    def __call__(self, images: Array, rng: np.random.Generator | None = None) -> Array:
        height, width = image_size("CenterCrop", self.size)
        _check_fits("CenterCrop", (height, width), images.shape[2:])
        top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
        return images[:, :, top : top + height, left : left + width]


@dataclass(frozen=True)
class RandomCrop:
    """A window of every image, its place uniform, after `padding` pixels of `fill` all around."""

    size: Size
    padding: int = 0
    fill: float = 0.0

    def __post_init__(self) -> None:
        image_size("RandomCrop", self.size)
        if operator.index(self.padding) < 0:
            raise ValueError(f"RandomCrop: padding must not be negative, got {self.padding}")

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        height, width = image_size("RandomCrop", self.size)
        border = (self.padding, self.padding)
        padded = np.pad(images, ((0, 0), (0, 0), border, border), constant_values=self.fill)
        _check_fits("RandomCrop", (height, width), padded.shape[2:])
        # A view (N, C, places, places, H, W) of every possible crop, of which each image keeps one.
        crops = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
        down = rng.integers(0, crops.shape[2], len(images))
        right = rng.integers(0, crops.shape[3], len(images))
        return crops[np.arange(len(images)), :, down, right]


@dataclass(frozen=True)
class RandomResizedCrop:
    """A random part of every image, resized bilinearly to `size`.

    The part has an area uniform over `scale` of the image's and an aspect (width / height)
    log-uniform over `ratio`; where ten draws do not fit the image, the largest centred part with
    an admissible aspect is taken, as in torchvision.
    """

    size: Size
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        image_size("RandomResizedCrop", self.size)
        _check_bounds("RandomResizedCrop", "scale", self.scale, 0.0)
        _check_bounds("RandomResizedCrop", "ratio", self.ratio, 0.0)

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        size = image_size("RandomResizedCrop", self.size)
        top, left, height, width = self.draw(images.shape, rng)
        matrices = np.zeros((len(images), 2, 3))
        # The centre of output pixel i is that of its share of the part.
        matrices[:, 0, 0], matrices[:, 1, 1] = width / size[1], height / size[0]
        matrices[:, 0, 2] = left + width / size[1] / 2 - 0.5
        matrices[:, 1, 2] = top + height / size[0] / 2 - 0.5
        return _warp(images, matrices, size, "bilinear", "border", None)

    def draw(self, shape: Sequence[int], rng: np.random.Generator) -> tuple[Array, ...]:
        """Top, left, height and width of a part of each image, in whole pixels."""
        n, _, rows, columns = shape
        low, high = (math.log(r) for r in self.ratio)
        area = rows * columns * rng.uniform(*self.scale, (10, n))
        aspect = np.exp(rng.uniform(low, high, (10, n)))
        widths = np.rint(np.sqrt(area * aspect)).astype(np.int64)
        heights = np.rint(np.sqrt(area / aspect)).astype(np.int64)
        place = rng.random((2, n))
        fits = (widths > 0) & (widths <= columns) & (heights > 0) & (heights <= rows)
        first, each = fits.argmax(0), np.arange(n)
        width, height = widths[first, each], heights[first, each]
        top = np.floor(place[0] * (rows - height + 1)).astype(np.int64)
        left = np.floor(place[1] * (columns - width + 1)).astype(np.int64)
        none = ~fits.any(0)
        widest = min(columns, round(rows * self.ratio[1]))
        tallest = min(rows, round(columns / self.ratio[0]))
        width[none], height[none] = widest, tallest
        top[none], left[none] = (rows - tallest) // 2, (columns - widest) // 2
        return top, left, height, width
