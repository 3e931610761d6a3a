"""LeNet-5 (lectures 000 and 002) learns to read digits that NumPy draws.

1 x 32 x 32 -> 6 @ 28 -> 6 @ 14 -> 16 @ 10 -> 16 @ 5 -> 120 -> 84 -> 10     61,706 parameters

python examples/lenet_digits.py
"""

import numpy as np
from digits import draw
from striate import nn, optim
from striate.data import ArrayDataset, DataLoader
from striate.training import evaluate, fit


def lenet5(rng):
    """With the sigmoid-shaped units and mean pooling of 1998."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, rng=rng),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5, rng=rng),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120, rng=rng),
        nn.Tanh(),
        nn.Linear(120, 84, rng=rng),
        nn.Tanh(),
        nn.Linear(84, 10, rng=rng),
    )


def dataset(n, rng):
    labels = np.arange(n) % 10
    return ArrayDataset(draw(labels, rng), labels)


def main():
    rng = np.random.default_rng(0)
    model = lenet5(rng)
    train = DataLoader(dataset(4000, rng), 32, shuffle=True, rng=1)
    test = DataLoader(dataset(1000, rng), 250)
    print(f"LeNet-5 has {nn.summary(model, (1, 32, 32)).parameters:,} parameters")
    print(f"test accuracy before training {evaluate(model, test).accuracy:.3f}")
    fit(model, train, epochs=4, optimizer=optim.Adam(model.parameters(), lr=2e-3))
    result = evaluate(model, test)
    print(f"test accuracy {result.accuracy:.3f}")
    worst = int(result.recall.argmin())
    print(f"hardest digit: {worst}, of which {result.recall[worst]:.0%} were read")


if __name__ == "__main__":
    main()
