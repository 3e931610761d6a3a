"""Lecture 003's network on Fashion-MNIST, with a validation split, early stopping and a checkpoint.

    python examples/fashion_mnist.py                     # half a minute on the sample that ships
    striate train --model lecture003_cnn --data fashion-mnist --resume       # all 70,000 images

Stop it and start it again: it goes on where it was. Delete `fashion.safetensors` to begin anew.
"""

import argparse

from striate import optim
from striate.data import (
    FASHION_MNIST_CLASSES,
    FASHION_MNIST_NORMALIZE,
    Compose,
    DataLoader,
    RandomHorizontalFlip,
    fashion_mnist_sample,
    random_split,
)
from striate.models import lecture003_cnn
from striate.training import CheckpointFile, EarlyStopping, evaluate, fit


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="fashion.safetensors")
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()

    everything, test = fashion_mnist_sample()
    train, validation = random_split(everything, (0.9, 0.1), rng=0)
    augment = Compose((RandomHorizontalFlip(), FASHION_MNIST_NORMALIZE))
    model = lecture003_cnn(rng=0)
    loader = DataLoader(train, 64, shuffle=True, drop_last=True, transform=augment, rng=1)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    history = fit(
        model,
        loader,
        validation=DataLoader(validation, 250, transform=FASHION_MNIST_NORMALIZE),
        epochs=arguments.epochs,
        optimizer=optimizer,
        schedule=optim.OneCycleLR(optimizer, 2e-3, total_steps=arguments.epochs * len(loader)),
        callbacks=[EarlyStopping("validation_accuracy", patience=3)],
        checkpoint=CheckpointFile(
            arguments.checkpoint,
            every=20,
            resume=True,
            settings={"epochs": arguments.epochs},
            architecture="lecture003_cnn",
            classes=FASHION_MNIST_CLASSES,
            normalize=FASHION_MNIST_NORMALIZE,
        ),
    )
    for record in history.epochs:
        print(f"epoch {record.epoch}: validation accuracy {record.validation_accuracy:.3f}")
    unseen = DataLoader(test, 250, transform=FASHION_MNIST_NORMALIZE)
    result = evaluate(model, unseen, top_k=(2,))
    print(f"test accuracy {result.accuracy:.3f}, among the best two {result.top_k[2]:.3f}")


if __name__ == "__main__":
    main()
