"""A CNN over spectrograms, time one way and frequency the other: four kinds of sound told apart.

Steady tones, rising and falling chirps, and trills (a tone that wavers), at any pitch and in noise.

    python examples/spectrograms.py
"""

import numpy as np
from striate import nn, optim
from striate.data import ArrayDataset, DataLoader
from striate.training import evaluate, fit

KINDS = ("steady", "rising", "falling", "trill")
RATE, SECONDS, WINDOW, HOP = 4000, 0.5, 128, 64


def sounds(labels, rng):
    """Waveforms (N, samples)."""
    n = len(labels)
    t = np.arange(int(RATE * SECONDS)) / RATE
    pitch = rng.uniform(600, 1200, (n, 1))
    sweep = rng.uniform(400, 800, (n, 1)) * np.array([0, 1, -1, 0])[labels][:, None]
    wavering = 150 * (np.asarray(labels) == 3)[:, None] * np.sin(2 * np.pi * 8 * t)
    frequency = pitch + sweep * (t / SECONDS - 0.5) + wavering
    phase = 2 * np.pi * (np.cumsum(frequency, axis=1) / RATE + rng.random((n, 1)))
    return np.sin(phase) + rng.normal(0, 0.8, (n, len(t)))


def spectrogram(waves):
    """log |short-time Fourier transform|: (N, 1, frequency, time), float32."""
    frames = np.lib.stride_tricks.sliding_window_view(waves, WINDOW, axis=1)[:, ::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), axis=2)) ** 2
    picture = np.log(power + 1e-3).transpose(0, 2, 1)[:, None, :64]
    return ((picture - picture.mean()) / picture.std()).astype(np.float32)


def dataset(n, rng):
    labels = np.arange(n) % len(KINDS)
    return ArrayDataset(spectrogram(sounds(labels, rng)), labels)


def network(rng):
    """Pooling over all of frequency and time at the end: pitch and moment do not matter."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2, rng=rng),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 5, padding=2, rng=rng),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2, rng=rng),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.GlobalMaxPool(),
        nn.Flatten(),
        nn.Linear(32, len(KINDS), rng=rng),
    )


def main():
    rng = np.random.default_rng(0)
    model = network(rng)
    train = DataLoader(dataset(800, rng), 32, shuffle=True, rng=1)
    test = DataLoader(dataset(400, rng), 100)
    fit(model, train, epochs=6, optimizer=optim.Adam(model.parameters(), lr=3e-3))
    result = evaluate(model, test)
    print(f"test accuracy {result.accuracy:.3f}")
    for kind, found in zip(KINDS, result.recall, strict=True):
        print(f"  {kind:8} {found:.0%} recognised")


if __name__ == "__main__":
    main()
