"""An autoencoder squeezes a garment's 784 pixels into 24 numbers and paints it again.

Convolutions with stride go down, transposed convolutions go up (Lecture 001).

    python examples/autoencoder.py
"""

import numpy as np
from striate import mse_loss, nn, optim
from striate.data import ArrayDataset, DataLoader, fashion_mnist_sample
from striate.training import fit

CODE = 24


class Autoencoder(nn.Module):
    def __init__(self, rng):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1, rng=rng),  # 14 x 14
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1, rng=rng),  # 7 x 7
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, CODE, rng=rng),
        )
        self.widen = nn.Linear(CODE, 32 * 7 * 7, rng=rng)
        self.decoder = nn.Sequential(
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1, rng=rng),  # 14 x 14
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1, rng=rng),  # 28 x 28
            nn.Sigmoid(),
        )

    def forward(self, x):
        return self.decoder(self.widen(self.encoder(x)).reshape(-1, 32, 7, 7))


def main():
    train, test = (part.arrays[0].astype(np.float32) / 255 for part in fashion_mnist_sample())
    test = test[:500]
    model = Autoencoder(np.random.default_rng(0))
    loader = DataLoader(ArrayDataset(train, train), 50, shuffle=True, rng=1)
    optimizer = optim.Adam(model.parameters(), lr=4e-3)
    history = fit(
        model,
        loader,
        DataLoader(ArrayDataset(test, test), 250),
        epochs=6,
        optimizer=optimizer,
        schedule=optim.OneCycleLR(optimizer, 4e-3, total_steps=6 * len(loader)),
        loss=mse_loss,
        count=None,
    )
    error = history.epochs[-1].test_loss
    mean_image = float(np.mean((test - train.mean(axis=0)) ** 2))
    print(f"squared error of the mean image {mean_image:.4f}, of the autoencoder {error:.4f}")
    print(f"{CODE} numbers explain {1 - error / mean_image:.3f} of the variance of 784 pixels")


if __name__ == "__main__":
    main()
