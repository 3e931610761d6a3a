"""A stack of causal dilated convolutions, as for speech (lectures 001, 003, 004).

The net must say at each moment what it heard 24 steps ago. With kernels of 2 and dilations 1, 2, 4,
8, 16 a unit sees 32 steps; the same stack without dilation has as many weights and sees only 6.

    python examples/causal_dilated.py
"""

import numpy as np
import striate
from striate import nn, optim
from striate.data import ArrayDataset, DataLoader
from striate.training import fit

DELAY, LENGTH, CHANNELS = 24, 128, 16


def network(dilations):
    """All padding comes in at the left: the output at time t sees inputs at t and before."""
    rng = np.random.default_rng(0)
    layers, channels = [], 1
    for dilation in dilations:
        conv = nn.Conv1d(channels, CHANNELS, 2, padding="causal", dilation=dilation, rng=rng)
        layers += [conv, nn.ReLU()]
        channels = CHANNELS
    return nn.Sequential(*layers, nn.Conv1d(CHANNELS, 1, 1, rng=rng))


def recall_error(outputs, targets):
    """Mean squared error where the answer lies inside the sequence."""
    return striate.mse_loss(outputs[:, :, DELAY:], targets[:, :, DELAY:])


def main():
    rng = np.random.default_rng(0)
    sound = rng.uniform(-1, 1, (512, 1, LENGTH)).astype(np.float32)
    heard = np.roll(sound, DELAY, axis=2)
    variance = float(heard.var())
    for name, dilations in (("dense", (1, 1, 1, 1, 1)), ("dilated", (1, 2, 4, 8, 16))):
        model = network(dilations)
        train = DataLoader(ArrayDataset(sound[:448], heard[:448]), 16, shuffle=True, rng=1)
        test = DataLoader(ArrayDataset(sound[448:], heard[448:]), 64)
        optimizer = optim.Adam(model.parameters(), lr=5e-3)
        history = fit(
            model, train, test, epochs=15, optimizer=optimizer, loss=recall_error, count=None
        )
        (field,) = nn.receptive_field(model, (1, LENGTH))[-1].field
        left = history.epochs[-1].test_loss / variance
        print(f"{name:8} field {field:2}: unexplained part of the signal {left:.3f}")


if __name__ == "__main__":
    main()
