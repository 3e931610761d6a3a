"""Data: arrays to mini-batches, augmentation, the IDX format, Fashion-MNIST."""

from .atomic import write_atomically
from .augment import Augment, CenterCrop, RandomCrop, RandomResizedCrop
from .color import ColorJitter
from .fashion import (
    FASHION_MNIST_CLASSES,
    FASHION_MNIST_NORMALIZE,
    fashion_mnist,
    fashion_mnist_sample,
    find_fashion_mnist,
)
from .idx import read_idx, write_idx
from .loader import ArrayDataset, DataLoader
from .mixing import Cutout, mixup
from .transforms import Compose, Normalize, RandomHorizontalFlip, RandomShift

__all__ = [
    "FASHION_MNIST_CLASSES",
    "FASHION_MNIST_NORMALIZE",
    "ArrayDataset",
    "Augment",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "Cutout",
    "DataLoader",
    "Normalize",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomShift",
    "fashion_mnist",
    "fashion_mnist_sample",
    "find_fashion_mnist",
    "mixup",
    "read_idx",
    "write_atomically",
    "write_idx",
]
