"""Depth with and without shortcuts (Lecture 002): a deep plain network learns worse than a shallow
one, even on its own training images; with residual blocks depth does no harm.

    python examples/plain_against_residual.py
"""

import numpy as np
from striate import avg_pool2d, nn, optim, relu
from striate.data import FASHION_MNIST_NORMALIZE, ArrayDataset, DataLoader, fashion_mnist_sample
from striate.training import fit

CHANNELS = 8


class Block(nn.Module):
    """Two convolutions; a residual one adds what went in to what comes out."""

    def __init__(self, residual, rng):
        super().__init__()
        self.residual = residual
        self.conv1 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False, rng=rng)
        self.bn1 = nn.BatchNorm2d(CHANNELS)
        self.conv2 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False, rng=rng)
        self.bn2 = nn.BatchNorm2d(CHANNELS)

    def forward(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(y + x) if self.residual else relu(y)


def network(depth, residual):
    """`depth` layers with weights: the first, two a block, the last."""
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Conv2d(1, CHANNELS, 3, padding=1, rng=rng),
        nn.ReLU(),
        *(Block(residual, rng) for _ in range((depth - 2) // 2)),
        nn.GlobalAvgPool(),
        nn.Flatten(),
        nn.Linear(CHANNELS, 10, rng=rng),
    )


def main():
    images, labels = fashion_mnist_sample()[0][:1200]
    small = avg_pool2d(FASHION_MNIST_NORMALIZE(images), 2)  # 14 x 14: enough to see depth at work
    losses = {}
    for name, depth, residual in (
        ("plain, 8 layers", 8, False),
        ("plain, 44 layers", 44, False),
        ("residual, 44 layers", 44, True),
    ):
        model = network(depth, residual)
        train = DataLoader(ArrayDataset(small, labels), 50, shuffle=True, rng=1)
        optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        history = fit(model, train, epochs=5, optimizer=optimizer)
        losses[name] = history.epochs[-1].loss
        print(f"{name:20} training loss by epoch", *(f"{e.loss:.3f}" for e in history.epochs))
    gain = losses["plain, 44 layers"] - losses["residual, 44 layers"]
    print(f"shortcuts lower the training loss of 44 layers by {gain:.3f}")


if __name__ == "__main__":
    main()
