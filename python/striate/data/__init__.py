"""Data: arrays to mini-batches, augmentation, the IDX format, Fashion-MNIST."""

from .atomic import write_atomically
from .fashion import (
    FASHION_MNIST_CLASSES,
    FASHION_MNIST_NORMALIZE,
    fashion_mnist,
    fashion_mnist_sample,
    find_fashion_mnist,
)
from .idx import read_idx, write_idx
from .loader import ArrayDataset, DataLoader
from .transforms import Compose, Normalize, RandomHorizontalFlip, RandomShift

__all__ = [
    "FASHION_MNIST_CLASSES",
    "FASHION_MNIST_NORMALIZE",
    "ArrayDataset",
    "Compose",
    "DataLoader",
    "Normalize",
    "RandomHorizontalFlip",
    "RandomShift",
    "fashion_mnist",
    "fashion_mnist_sample",
    "find_fashion_mnist",
    "read_idx",
    "write_atomically",
    "write_idx",
]
