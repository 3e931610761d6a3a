"""Fashion-MNIST: 70,000 grayscale photographs of clothes, 28 x 28 pixels, ten classes.

H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
Learning Algorithms", arXiv:1708.07747. MIT licence, (c) 2017 Zalando SE.

A class-balanced sample (5,000 train, 1,000 test) lies in this package; the full set is looked for
on this machine and downloaded only where it is nowhere to be found.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .fetch import Opener, fetch_gzip, open_url
from .idx import read_idx
from .loader import ArrayDataset
from .transforms import Normalize

FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

FASHION_MNIST_NORMALIZE = Normalize(mean=0.2860, std=0.3530)
"""Mean and standard deviation of the 60,000 training images' pixels."""

MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
)
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
SAMPLE_FOLDER = Path(__file__).with_name("fashion_mnist_sample")


class IdxFile(NamedTuple):
    """Name, size and SHA-256 of an IDX file before compression (recompressed copies differ)."""

    name: str
    size: int
    sha256: str


# Full set and sample alike: train images, train labels, test images, test labels.
FULL_FILES = (
    IdxFile(
        "train-images-idx3-ubyte",
        47_040_016,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        60_008,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        7_840_016,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        10_008,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)
SAMPLE_FILES = (
    IdxFile(
        "train-images-idx3-ubyte",
        3_920_016,
        "1dd28cf9e9a655249e09a866aad149692605969ccd1de4e8d6073f5a0e5be865",
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        5_008,
        "7e8c98ef171574c4a61a0c79bfbf0a1e99f403ac63dbcb4f6c97359055111d96",
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        784_016,
        "604687245eea080c620c7fee3a9cf26cb7fe7324bff2d7a5b8651eb75ac30ae8",
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        1_008,
        "4b5de52217990f4b20f84af9336b9e062519c0d0150e5809c935ffe0aec63b1f",
    ),
)


def fashion_mnist_sample() -> tuple[ArrayDataset, ArrayDataset]:
    """The sample that ships with striate: 500 training and 100 test images of each class.

    Returns
    -------
    train, test : ArrayDataset
        Each of images, uint8 (N, 1, 28, 28), and labels, int64 (N,).
    """
    return _read(SAMPLE_FOLDER, SAMPLE_FILES)


def fashion_mnist(
    root: str | os.PathLike[str] | None = None,
    *,
    mirrors: Sequence[str] = MIRRORS,
    opener: Opener = open_url,
    report: Callable[[str], None] | None = None,
) -> tuple[ArrayDataset, ArrayDataset]:
    """The full set: 60,000 training and 10,000 test images.

    The four IDX files, gzip-compressed or not, are taken from the first of these that has them:
    `root` (and then nowhere else), the folder in the environment variable STRIATE_DATA (or
    `fashion-mnist` inside it), Debian's package dataset-fashion-mnist, the user's cache. Otherwise
    they are downloaded into the cache. Whatever is found must pass its checksum.

    Parameters
    ----------
    root
        Folder that holds the files.
    mirrors, opener, report
        Where and how to download; `report` is called with a line of text before each attempt.

    Returns
    -------
    train, test : ArrayDataset
        Each of images, uint8 (N, 1, 28, 28), and labels, int64 (N,).

    Raises
    ------
    FileNotFoundError
        `root` lacks a file, or a folder on the way holds some of the four but not all.
    NotADirectoryError
        STRIATE_DATA is set to something that is no folder.
    ValueError
        A file is damaged; the message names it.
    OSError
        No mirror delivered.
    """
    folder = find_fashion_mnist(root)
    if folder is None:
        folder = _cache_folder()
        for file in FULL_FILES:
            if _locate(folder, file) is None:
                target = folder / f"{file.name}.gz"
                fetch_gzip(
                    target.name,
                    target,
                    mirrors,
                    sha256=file.sha256,
                    size=file.size,
                    opener=opener,
                    report=report,
                )
    return _read(folder, FULL_FILES)


def find_fashion_mnist(root: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder on this machine that `fashion_mnist(root)` would read; None if it would download.

    Raises as `fashion_mnist` does where a folder is named but not usable.
    """
    if root is not None:
        folder = Path(root)
        _require_all(folder)
        return folder
    for folder in (*_environment_folders(os.environ), DEBIAN_FOLDER):
        if any(_locate(folder, file) for file in FULL_FILES):
            _require_all(folder)
            return folder
    # An interrupted download leaves a part of the four in the cache; the rest can still be fetched.
    cache = _cache_folder()
    return cache if all(_locate(cache, file) for file in FULL_FILES) else None


def _environment_folders(environment: Mapping[str, str]) -> tuple[Path, ...]:
    value = environment.get("STRIATE_DATA")
    if not value:
        return ()
    folder = Path(value)
    if not folder.is_dir():
        raise NotADirectoryError(f"STRIATE_DATA={value} is not a folder")
    return (folder, folder / "fashion-mnist")


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "striate" / "fashion-mnist"


def _locate(folder: Path, file: IdxFile) -> Path | None:
    candidates = (folder / f"{file.name}.gz", folder / file.name)
    return next((path for path in candidates if path.is_file()), None)


def _require_all(folder: Path) -> None:
    missing = [file.name for file in FULL_FILES if _locate(folder, file) is None]
    if missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)} (plain or .gz)")


def _read(folder: Path, files: Sequence[IdxFile]) -> tuple[ArrayDataset, ArrayDataset]:
    arrays = []
    for file in files:
        path = _locate(folder, file)
        if path is None:
            raise FileNotFoundError(f"{folder} lacks {file.name} (plain or .gz)")
        # The checksum settles shape and type as well: these are the very bytes that were published.
        arrays.append(read_idx(path, sha256=file.sha256))
    train_images, train_labels, test_images, test_labels = arrays
    return (
        ArrayDataset(train_images[:, None], train_labels.astype(np.int64)),
        ArrayDataset(test_images[:, None], test_labels.astype(np.int64)),
    )
