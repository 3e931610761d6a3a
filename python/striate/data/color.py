"""Augmentation by brightness, contrast, saturation and hue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .loader import Array

# ITU-R 601: what an eye makes of red, green and blue.
_GRAY = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class ColorJitter:
    """Change brightness, contrast, saturation and hue of each image at random, in this order.

    A factor is uniform over ``max(0, 1 - b) .. 1 + b`` for each of the first three; the hue turns
    by a uniform part ``-hue..hue`` of the whole circle. Brightness multiplies; contrast moves away
    from the image's mean gray, saturation from each pixel's gray. Images are bytes or numbers in
    0..1, with one channel (brightness and contrast only) or three (red, green, blue).

    Raises
    ------
    ValueError
        A negative amount, a hue above 1/2, images of another number of channels.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation", "hue"):
            value = getattr(self, name)
            if not 0 <= value < (0.5 + 1e-9 if name == "hue" else float("inf")):
                raise ValueError(
                    f"ColorJitter: {name} must not be negative (hue at most 1/2), got {value}"
                )

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"ColorJitter: needs images (N, 1 or 3, H, W), got shape {images.shape}"
            )
        n = len(images)
        bytes_given = images.dtype == np.uint8
        pixels = images.astype(np.float32) / np.float32(255) if bytes_given else images
        # Always all four, so that switching one off leaves the others' draws as they were.
        draws = rng.uniform(-1.0, 1.0, (4, n)).astype(pixels.dtype).reshape(4, n, 1, 1, 1)
        amounts = (self.brightness, self.contrast, self.saturation)
        factors = [
            np.maximum(1 + draw * amount, 0) for draw, amount in zip(draws, amounts, strict=False)
        ]
        if self.brightness:
            pixels = np.clip(pixels * factors[0], 0, 1)
        if self.contrast:
            mean = _gray(pixels).mean(axis=(2, 3), keepdims=True, dtype=pixels.dtype)
            pixels = np.clip(mean + factors[1] * (pixels - mean), 0, 1)
        if self.saturation and images.shape[1] == 3:
            gray = _gray(pixels)
            pixels = np.clip(gray + factors[2] * (pixels - gray), 0, 1)
        if self.hue and images.shape[1] == 3:
            pixels = turn_hue(pixels, draws[3, :, 0] * self.hue)
        if bytes_given:
            pixels = np.rint(pixels * 255).astype(np.uint8)
        return pixels if pixels is not images else images.copy()


def _gray(pixels: Array) -> Array:
    if pixels.shape[1] == 1:
        return pixels
    gray: Array = np.einsum("nchw,c->nhw", pixels, _GRAY.astype(pixels.dtype))
    return gray[:, None]


def turn_hue(pixels: Array, turn: npt.ArrayLike) -> Array:
    """Turn the hue of pixels (N, 3, H, W) in 0..1 by a part of the circle, one an image or one."""
    red, green, blue = pixels[:, 0], pixels[:, 1], pixels[:, 2]
    value, least = pixels.max(1), pixels.min(1)
    chroma = value - least
    some = np.where(chroma > 0, chroma, 1)
    sixth = np.where(
        value == red,
        (green - blue) / some,
        np.where(value == green, 2 + (blue - red) / some, 4 + (red - green) / some),
    )
    sixth = sixth + 6 * np.asarray(turn, pixels.dtype)
    result = np.empty_like(pixels)
    # Channel n of HSV: value - chroma * max(0, min(k, 4 - k, 1)), k = (n + hue / 60) mod 6.
    for channel, start in enumerate((5, 3, 1)):
        k = (start + sixth) % 6
        result[:, channel] = value - chroma * np.clip(np.minimum(k, 4 - k), 0, 1)
    return result
