"""Transfer learning (Lecture 003): digits seen often help to learn others from four images each.

Freeze the convolutional part, replace the head and train it; then thaw everything and fine-tune,
the old layers at a tenth of the new one's rate. Beside it, the same network from scratch.

    python examples/transfer_learning.py
"""

import numpy as np
from digits import draw
from striate import nn, optim
from striate.data import ArrayDataset, DataLoader
from striate.models import fashion_cnn
from striate.training import evaluate, fit

OLD, NEW = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)
FEW = 4  # training images of each new digit


def dataset(digits, each, rng):
    """`each` images of every one of `digits`, labelled 0, 1, ..."""
    labels = np.repeat(np.arange(len(digits)), each)
    return ArrayDataset(draw(np.array(digits)[labels], rng, size=28, degrees=30.0), labels)


def loader(dataset, batch_size):
    return DataLoader(dataset, batch_size, shuffle=True, rng=1)


def main():
    rng = np.random.default_rng(0)
    many, few, unseen = dataset(OLD, 400, rng), dataset(NEW, FEW, rng), dataset(NEW, 100, rng)
    test = DataLoader(unseen, 250)

    model = fashion_cnn(len(OLD), rng=0)
    fit(model, loader(many, 25), epochs=4, optimizer=optim.Adam(model.parameters(), lr=2e-3))

    model.features.freeze()
    head = model.classifier[-1] = nn.Linear(128 * 3 * 3, len(NEW), rng=2)
    fit(model, loader(few, 10), epochs=20, optimizer=optim.Adam(head.parameters(), lr=1e-3))
    print(f"new head on frozen layers: test accuracy {evaluate(model, test).accuracy:.3f}")

    model.features.freeze(False)
    groups = [
        {"params": model.features.parameters(), "lr": 1e-4},
        {"params": model.classifier.parameters(), "lr": 1e-3},
    ]
    fit(model, loader(few, 10), epochs=20, optimizer=optim.Adam(groups))
    tuned = evaluate(model, test).accuracy
    print(f"fine-tuned: test accuracy {tuned:.3f}")

    scratch = fashion_cnn(len(NEW), rng=0)
    fit(scratch, loader(few, 10), epochs=40, optimizer=optim.Adam(scratch.parameters()))
    alone = evaluate(scratch, test).accuracy
    print(f"from scratch: test accuracy {alone:.3f}")
    print(f"transfer gains {tuned - alone:.3f}")


if __name__ == "__main__":
    main()
