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
    fashion_mnist_sample,
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


def random_crop(images, rng):
    """A crop from anywhere, mirrored or not: one for all, as the batches are many."""
    down, right = rng.integers(0, 28 - CROP + 1, 2)
    crop = images[:, :, down : down + CROP, right : right + CROP]
    return crop if rng.random() < 0.5 else crop[..., ::-1]


def centre(images):
    return [ten_crop(images, CROP)[4]]


def ten(images):
    return ten_crop(images, CROP)


def accuracy(models, crops, dataset):
    """Of the vote of all `models` on all `crops`."""
    vote = Ensemble(MultiCrop(model, crops) for model in models)
    return evaluate(vote, DataLoader(dataset, 250, transform=FASHION_MNIST_NORMALIZE)).accuracy


def folds(dataset, k, rng):
    """(training, validation) k times; each example is in one validation part."""
    parts = np.array_split(rng.permutation(len(dataset)), k)
    for i in range(k):
        rest = np.concatenate(parts[:i] + parts[i + 1 :])
        yield ArrayDataset(*dataset[rest]), ArrayDataset(*dataset[parts[i]])


def cross_validate(dataset, rate):
    """The networks of all folds, and their mean accuracy on what they have not seen."""
    models, accuracies = [], []
    for seed, (train, validation) in enumerate(folds(dataset, FOLDS, np.random.default_rng(0))):
        model = network(seed)
        augment = Compose((random_crop, FASHION_MNIST_NORMALIZE))
        loader = DataLoader(train, 25, shuffle=True, transform=augment, rng=seed)
        fit(model, loader, epochs=4, optimizer=optim.Adam(model.parameters(), lr=rate))
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
    alone = np.mean([accuracy([model], centre, test) for model in models])
    print(f"one network on the centre, on average: test accuracy {alone:.3f}")
    print(f"one network on ten crops: test accuracy {accuracy(models[:1], ten, test):.3f}")
    print(f"{FOLDS} networks on the centre: test accuracy {accuracy(models, centre, test):.3f}")
    print(f"{FOLDS} networks on ten crops: test accuracy {accuracy(models, ten, test):.3f}")


if __name__ == "__main__":
    main()
