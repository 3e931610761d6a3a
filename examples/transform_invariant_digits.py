"""Filters that turn (Lecture 000): trained on upright digits only, the net reads turned ones.

Every filter is applied under eight rotations and the strongest answer counts, so the features of a
digit are those of the same digit turned. The same net with plain convolutions has as many weights.
The 9 is left out: turned, it is a 6.

    python examples/transform_invariant_digits.py
"""

import numpy as np
from digits import draw
from striate import nn, optim
from striate.data import ArrayDataset, DataLoader
from striate.training import evaluate, fit

TURNS = 8  # of 45 degrees
CLASSES, SIZE = 9, 24


def network(conv, rng):
    """Large filters see most of a digit; what is left of it is whether each was found anywhere."""
    return nn.Sequential(
        conv(1, 8, 7, padding=3, rng=rng),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        conv(8, 32, 7, padding=3, rng=rng),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.GlobalMaxPool(),
        nn.Flatten(),
        nn.Linear(32, CLASSES, rng=rng),
    )


def turning(*arguments, **options):
    return nn.TransformInvariantConv2d(*arguments, rotations=TURNS, pool="max", **options)


def dataset(n, rng, turned):
    labels = np.arange(n) % CLASSES
    images = draw(labels, rng, SIZE, degrees=180.0 if turned else 5.0)
    return ArrayDataset(images, labels)


def main():
    rng = np.random.default_rng(0)
    upright, turned = dataset(1350, rng, False), dataset(450, rng, True)
    for name, conv in (("plain", nn.Conv2d), ("turning", turning)):
        model = network(conv, np.random.default_rng(1))
        train = DataLoader(upright, 30, shuffle=True, rng=2)
        optimizer = optim.Adam(model.parameters(), lr=3e-3)
        schedule = optim.OneCycleLR(optimizer, 3e-3, total_steps=4 * len(train))
        history = fit(model, train, epochs=4, optimizer=optimizer, schedule=schedule)
        weights = sum(parameter.size for parameter in model.parameters())
        print(
            f"{name} filters, {weights:,} weights: accuracy on upright digits "
            f"{history.epochs[-1].accuracy:.3f}, "
            f"on turned ones {evaluate(model, DataLoader(turned, 150)).accuracy:.3f}"
        )


if __name__ == "__main__":
    main()
