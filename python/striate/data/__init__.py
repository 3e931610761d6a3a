"""Data: arrays and folders to mini-batches, splits, augmentation, Fashion-MNIST, CIFAR-10."""

from .atomic import write_atomically
from .augment import Augment, CenterCrop, RandomCrop, RandomResizedCrop
from .cifar import CIFAR10_CLASSES, cifar10, find_cifar10, read_cifar10
from .color import ColorJitter
from .fashion import (
    FASHION_MNIST_CLASSES,
    FASHION_MNIST_NORMALIZE,
    fashion_mnist,
    fashion_mnist_sample,
    find_fashion_mnist,
)
from .folder import ImageFiles, image_folder, tiny_imagenet
from .idx import read_idx, write_idx
from .loader import ArrayDataset, DataLoader, Dataset
from .mixing import Cutout, mixup
from .split import Subset, k_folds, random_split
from .transforms import Compose, Normalize, RandomHorizontalFlip, RandomShift

__all__ = [
    "CIFAR10_CLASSES",
    "FASHION_MNIST_CLASSES",
    "FASHION_MNIST_NORMALIZE",
    "ArrayDataset",
    "Augment",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "Cutout",
    "DataLoader",
    "Dataset",
    "ImageFiles",
    "Normalize",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomShift",
    "Subset",
    "cifar10",
    "fashion_mnist",
    "fashion_mnist_sample",
    "find_cifar10",
    "find_fashion_mnist",
    "image_folder",
    "k_folds",
    "mixup",
    "random_split",
    "read_cifar10",
    "read_idx",
    "tiny_imagenet",
    "write_atomically",
    "write_idx",
]
