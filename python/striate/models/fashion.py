"""The default network: a small CNN for 28 x 28 grayscale images.

    1 x 28 x 28   photograph
    32 x 28 x 28  conv 3x3, batch norm, ReLU
    32 x 14 x 14  max pool 2
    64 x 14 x 14  conv 3x3, batch norm, ReLU
    64 x 7 x 7    max pool 2
    128 x 7 x 7   conv 3x3, batch norm, ReLU
    128 x 3 x 3   max pool 2 (the odd last row and column fall away)
    10            linear

Each block halves the image and doubles the channels, so from the second on a convolution costs the
same: a quarter of the places, four times the work at each.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from striate import nn


def conv_block(in_channels: int, out_channels: int, rng: np.random.Generator) -> nn.Sequential:
    """Convolution, batch norm, ReLU, then halve the image. Batch norm has the bias."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False, rng=rng),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


class FashionCNN(nn.Module):
    """Images (N, 1, 28, 28) to class scores (N, num_classes).

    Parameters
    ----------
    num_classes
        How many scores.
    rng
        Seed or generator of the initial weights.
    """

    def __init__(
        self, num_classes: int = 10, *, rng: int | np.random.Generator | None = None
    ) -> None:
        super().__init__()
        rng = np.random.default_rng(rng)
        channels = (1, 32, 64, 128)
        self.features = nn.Sequential(*(conv_block(a, b, rng) for a, b in pairwise(channels)))
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels[-1] * 3 * 3, num_classes, rng=rng),
        )

    def forward(self, input: Any) -> Any:
        return self.classifier(self.features(input))


def fashion_cnn(
    num_classes: int = 10, *, rng: int | np.random.Generator | None = None
) -> FashionCNN:
    """The default network of `striate train`."""
    return FashionCNN(num_classes, rng=rng)
