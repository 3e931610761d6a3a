"""Make the Fashion-MNIST sample that ships inside the package.

    python scripts/make_sample.py [--data-dir FOLDER] [--output FOLDER]

500 training images of each class come from the full training split and 100 test images of each
class from the full test split, picked by a fixed seed and kept in the full set's order. The output
is the full set's own format, IDX .gz, so one reader serves both; time stamps are zero, so the same
zlib gives the same bytes. The printed SHA-256 of the unpacked bytes are those in
striate/data/fashion.py.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
from pathlib import Path

import numpy as np
from striate.data import ArrayDataset, fashion_mnist, write_idx
from striate.data.fashion import SAMPLE_FOLDER

SEED = 2017
PER_CLASS = {"train": 500, "t10k": 100}


def balanced(labels: np.ndarray, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `per_class` random examples of each class, ascending."""
    picks = [
        rng.choice(np.flatnonzero(labels == label), per_class, replace=False)
        for label in np.unique(labels)
    ]
    return np.sort(np.concatenate(picks))


def write(path: Path, array: np.ndarray) -> None:
    plain = io.BytesIO()
    write_idx(plain, array)
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(plain.getvalue())
    path.write_bytes(packed.getvalue())
    digest = hashlib.sha256(plain.getvalue()).hexdigest()
    name = path.name.removesuffix(".gz")
    print(f"{digest}  {name} ({plain.tell()} bytes, packed {packed.tell()})")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the sample of Fashion-MNIST.")
    parser.add_argument("--data-dir", type=Path, help="folder that holds the full set")
    parser.add_argument("--output", type=Path, default=SAMPLE_FOLDER)
    arguments = parser.parse_args()

    rng = np.random.default_rng(SEED)
    splits: tuple[ArrayDataset, ArrayDataset] = fashion_mnist(arguments.data_dir)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for split, dataset in zip(PER_CLASS, splits, strict=True):
        _, labels = dataset.arrays
        images, labels = dataset[balanced(labels, PER_CLASS[split], rng)]
        write(arguments.output / f"{split}-images-idx3-ubyte.gz", images[:, 0])
        write(arguments.output / f"{split}-labels-idx1-ubyte.gz", labels.astype(np.uint8))


if __name__ == "__main__":
    main()
