"""The two networks that Lecture 003 trains on Fashion-MNIST: a block-based CNN and an MLP.

    1 x 28 x 28     photograph
    32 x 28 x 28    twice: conv 3x3, ReLU, batch norm
    32 x 14 x 14    max pool 2, dropout
    64 x 14 x 14    twice: conv 3x3, ReLU, batch norm
    64 x 7 x 7      max pool 2, dropout
    3136            flatten
    512             linear, ReLU, batch norm, dropout
    10              linear

The slide counts as Keras does, 1,679,082 parameters of which 1,677,674 are trainable: the other
1,408 are the batch norms' running means and variances, which are buffers here. It prints no dropout
rates; those below are the customary ones, small after convolutions, one half between dense layers.
"""

from __future__ import annotations

import numpy as np

from striate import nn

CONV_DROPOUT = 0.25
DENSE_DROPOUT = 0.5


def _seed(rng: np.random.Generator) -> int:
    """Of a stream of its own: what a dropout layer draws later must not hang on the others."""
    return int(rng.integers(2**63))


def _conv_block(in_channels: int, out_channels: int, rng: np.random.Generator) -> nn.Sequential:
    """Two convolutions at one resolution, then half of it."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, rng=rng),
        nn.ReLU(),
        nn.BatchNorm2d(out_channels),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, rng=rng),
        nn.ReLU(),
        nn.BatchNorm2d(out_channels),
        nn.MaxPool2d(2),
        nn.Dropout(CONV_DROPOUT, rng=_seed(rng)),
    )


def lecture003_cnn(
    num_classes: int = 10, *, rng: int | np.random.Generator | None = None
) -> nn.Sequential:
    """The CNN: images (N, 1, 28, 28) to class scores (N, num_classes).

    Parameters
    ----------
    num_classes
        How many scores.
    rng
        Seed or generator of the initial weights; the dropout layers take their seeds from it.

    References
    ----------
    Lecture 003, "about 93.5 % accuracy on Fashion-MNIST, compare to about 88 % with an MLP".
    """
    rng = np.random.default_rng(rng)
    return nn.Sequential(
        _conv_block(1, 32, rng),
        _conv_block(32, 64, rng),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 512, rng=rng),
        nn.ReLU(),
        nn.BatchNorm1d(512),
        nn.Dropout(DENSE_DROPOUT, rng=_seed(rng)),
        nn.Linear(512, num_classes, rng=rng),
    )


def lecture003_mlp(
    num_classes: int = 10, *, rng: int | np.random.Generator | None = None
) -> nn.Sequential:
    """The MLP beside it: the CNN's dense layers alone, on the pixels.

    The slide shows only its curve; 784-512-10 with dropout is our reading of it. Parameters as
    `lecture003_cnn`'s.
    """
    rng = np.random.default_rng(rng)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(28 * 28, 512, rng=rng),
        nn.ReLU(),
        nn.Dropout(DENSE_DROPOUT, rng=_seed(rng)),
        nn.Linear(512, num_classes, rng=rng),
    )
