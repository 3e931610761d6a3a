"""CIFAR-10, binary version: 60,000 photographs, 32 x 32 pixels, ten classes.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. A file is a row of
records of 3,073 bytes: a label, then the red, green and blue planes::

    label | R 32 x 32 | G 32 x 32 | B 32 x 32 | label | R ...

The set is looked for on this machine: its folder, or the archive as it is published.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np

from .loader import Array, ArrayDataset

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

FOLDER = "cifar-10-batches-bin"
ARCHIVE = "cifar-10-binary.tar.gz"
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
TRAIN_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_FILES = ("test_batch.bin",)
RECORDS = 10_000
"""In each of the six files."""

_PIXELS = 3 * 32 * 32
_RECORD = 1 + _PIXELS


def read_cifar10(path: str | os.PathLike[str], *, records: int | None = None) -> ArrayDataset:
    """Read one binary file of CIFAR-10.

    Parameters
    ----------
    path
        The file.
    records
        How many it must hold; by default any number.

    Returns
    -------
    ArrayDataset
        Of images, uint8 (N, 3, 32, 32), and labels, int64 (N,).

    Raises
    ------
    ValueError
        The file is no whole number of records, or not `records` of them, or has a label above 9;
        the message names the file.
    """
    path = Path(path)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        _check_size(str(path), size, records)
        return _decoded(str(path), file.read(size), size)


def cifar10(root: str | os.PathLike[str] | None = None) -> tuple[ArrayDataset, ArrayDataset]:
    """The full set: 50,000 training and 10,000 test images.

    The six files, or the archive that holds them, are taken from the first of these that has them:
    `root` (and then nowhere else), the folder in the environment variable STRIATE_DATA, the user's
    cache. Nothing is downloaded.

    Returns
    -------
    train, test : ArrayDataset
        Each of images, uint8 (N, 3, 32, 32), and labels, int64 (N,).

    Raises
    ------
    FileNotFoundError
        It is nowhere; the message says where it comes from. Or a folder lacks some of the files.
    NotADirectoryError
        STRIATE_DATA is set to something that is no folder.
    ValueError
        A file is damaged; the message names it.
    """
    place = find_cifar10(root)
    if place is None:
        raise FileNotFoundError(
            f"CIFAR-10 is not on this machine: unpack {ARCHIVE} from {SOURCE} into a folder, and "
            "give it as root or in STRIATE_DATA"
        )
    names = (*TRAIN_FILES, *TEST_FILES)
    if place.is_dir():
        parts = [read_cifar10(place / name, records=RECORDS) for name in names]
    else:
        parts = _from_archive(place, names)
    images = np.concatenate([part.arrays[0] for part in parts[:-1]])
    labels = np.concatenate([part.arrays[1] for part in parts[:-1]])
    return ArrayDataset(images, labels), parts[-1]


def find_cifar10(root: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder or archive that `cifar10(root)` would read; None if there is none."""
    if root is not None:
        found = _look_into(Path(root))
        if found is None:
            raise FileNotFoundError(f"{root} holds neither {TRAIN_FILES[0]} nor {ARCHIVE}")
        return found
    folders = []
    if value := os.environ.get("STRIATE_DATA"):
        if not Path(value).is_dir():
            raise NotADirectoryError(f"STRIATE_DATA={value} is not a folder")
        folders.append(Path(value))
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folders.append(Path(base) / "striate" / "cifar-10")
    return next((found for folder in folders if (found := _look_into(folder))), None)


def _look_into(folder: Path) -> Path | None:
    if folder.is_file():
        return folder
    for candidate in (folder, folder / FOLDER):
        present = [name for name in (*TRAIN_FILES, *TEST_FILES) if (candidate / name).is_file()]
        if present:
            missing = {*TRAIN_FILES, *TEST_FILES} - set(present)
            if missing:
                raise FileNotFoundError(f"{candidate} lacks {', '.join(sorted(missing))}")
            return candidate
    archive = folder / ARCHIVE
    return archive if archive.is_file() else None


def _from_archive(path: Path, names: tuple[str, ...]) -> list[ArrayDataset]:
    """Named regular members only, of the size that they must have; nothing is unpacked to disk."""
    parts = []
    try:
        with tarfile.open(path, "r:*") as archive:
            for name in names:
                member = archive.getmember(f"{FOLDER}/{name}")
                file = archive.extractfile(member) if member.isreg() else None
                if file is None:
                    raise ValueError(f"{name} is not a regular file")
                _check_size(name, member.size, RECORDS)
                parts.append(_decoded(name, file.read(member.size), member.size))
            while archive.fileobj is not None and archive.fileobj.read(1 << 20):
                pass  # to the very end, where the compressed stream keeps its checksum
    except Exception as error:  # every compression has errors of its own
        raise ValueError(f"{path} is not a valid archive of CIFAR-10: {error}") from error
    return parts


def _check_size(name: str, size: int, records: int | None) -> None:
    count, rest = divmod(size, _RECORD)
    if rest or not count or (records is not None and count != records):
        wanted = "a whole number of" if records is None else f"{records}"
        raise ValueError(f"{name} has {size} bytes, not {wanted} records of {_RECORD}")


def _decoded(name: str, content: bytes, size: int) -> ArrayDataset:
    if len(content) != size:
        raise ValueError(f"{name} ends after {len(content)} of {size} bytes")
    table = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    labels = table[:, 0].astype(np.int64)
    if labels.max() >= len(CIFAR10_CLASSES):
        raise ValueError(f"{name} has the label {labels.max()}, above 9")
    images: Array = table[:, 1:].reshape(-1, 3, 32, 32).copy()
    return ArrayDataset(images, labels)
