"""k-fold cross-validation chooses; then the folds' networks vote, on many crops (Lecture 000).

Every image is validated on once, by the network that has not seen it; the mean tells which learning
rate to take. The seven networks that this leaves vote afterwards: on the centre of an image, and on
ten crops of it, as they were trained on random ones.

    python examples/cross_validation.py
"""

import numpy as np
from striate import nn, optim
from striate.data import (
    FASHION_MNIST_NORMALIZE,
    ArrayDataset,
    Compose,
    DataLoader,
    RandomCrop,
    RandomHorizontalFlip,
    fashion_mnist_sample,
    k_folds,
)
from striate.training import Ensemble, MultiCrop, evaluate, fit, ten_crop

FOLDS, IMAGES, CROP = 7, 1050, 24


def network(seed):
    """Any size of image: the last maps are averaged."""
    rng = np.random.default_rng(seed)
    layers, channels = [], 1
    for width in (16, 32, 64):
        layers += [nn.Conv2d(channels, width, 3, padding=1, rng=rng), nn.BatchNorm2d(width)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.GlobalAvgPool(), nn.Flatten(), nn.Linear(64, 10, rng=rng))


def centre(images):
    return [ten_crop(images, CROP)[4]]


def ten(images):
    return ten_crop(images, CROP)


def accuracy(models, crops, dataset):
    """Of the vote of all `models` on all `crops`."""
    vote = Ensemble(MultiCrop(model, crops) for model in models)
    return evaluate(vote, DataLoader(dataset, 250, transform=FASHION_MNIST_NORMALIZE)).accuracy


def cross_validate(dataset, rate):
    """The networks of all folds, and their mean accuracy on what they have not seen."""
    models, accuracies = [], []
    for seed, (train, validation) in enumerate(k_folds(dataset, FOLDS, rng=0)):
        model = network(seed)
        augment = Compose((RandomCrop(CROP), RandomHorizontalFlip(), FASHION_MNIST_NORMALIZE))
        loader = DataLoader(train, 25, shuffle=True, transform=augment, rng=seed)
        fit(model, loader, epochs=6, optimizer=optim.Adam(model.parameters(), lr=rate))
        models.append(model)
        accuracies.append(accuracy([model], centre, validation))
    return models, float(np.mean(accuracies))


def main():
    train, test = fashion_mnist_sample()
    train = ArrayDataset(*train[:IMAGES])
    tried = {rate: cross_validate(train, rate) for rate in (1e-4, 3e-3)}
    for rate, (_, mean) in tried.items():
        print(f"learning rate {rate}: mean validation accuracy {mean:.3f}")
    models, _ = max(tried.values(), key=lambda pair: pair[1])
    for name, crops in (("the centre", centre), ("ten crops", ten)):
        alone = np.mean([accuracy([model], crops, test) for model in models])
        print(f"one network on {name}, on average: test accuracy {alone:.3f}")
        print(f"{FOLDS} networks on {name}: test accuracy {accuracy(models, crops, test):.3f}")


if __name__ == "__main__":
    main()
