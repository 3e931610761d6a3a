"""Folders of images, one a class, and Tiny ImageNet; files are read when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._extras import require
from .augment import image_size
from .loader import Array
from .pictures import open_picture

FORMATS = {
    ".bmp": "BMP",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".png": "PNG",
    ".ppm": "PPM",
    ".webp": "WEBP",
}
"""What is read: suffixes, and the only decoder that may open a file with it."""

MAX_PIXELS = 50_000_000


class ImageFiles:
    """Image files with labels, decoded on access.

    ``dataset[index]`` is (images, labels) for an array of indices: uint8 (N, 3, H, W), or
    (N, 1, H, W) with ``mode="L"``, and int64 (N,).

    Parameters
    ----------
    paths, labels
        A file and a whole number for every example.
    classes
        Names; a label is an index into them.
    size : int or (int, int), optional
        Resize every image to this (height, width), with a filter as wide as the step. Without it
        all images of a batch must have one size.
    mode : {"RGB", "L"}
        Colour or gray.
    max_pixels
        Larger images are refused before they are decoded.

    Notes
    -----
    Pictures are turned upright as their EXIF orientation says; of 16 bits the upper 8 count.

    Raises
    ------
    TypeError
        A size or labels that are no whole numbers.
    ValueError
        Reading: a file in none of the formats, damaged, too large, or of another size than its
        batch; the message names it.
    MissingExtraError
        Pillow is not installed.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        labels: Sequence[int] | Array,
        classes: Sequence[str],
        *,
        size: int | tuple[int, int] | None = None,
        mode: str = "RGB",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.paths = [Path(path) for path in paths]
        given = np.asarray(labels).reshape(-1)
        if given.size and given.dtype.kind not in "iu":
            raise TypeError(f"ImageFiles: labels must be whole numbers, got {given.dtype}")
        self.labels = given.astype(np.int64)
        self.classes = tuple(classes)
        if len(self.paths) != len(self.labels):
            raise ValueError(f"ImageFiles: {len(self.paths)} paths, but {len(self.labels)} labels")
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(classes):
            raise ValueError(f"ImageFiles: labels must lie in 0..{len(classes) - 1}")
        if mode not in ("RGB", "L"):
            raise ValueError(f"ImageFiles: mode must be 'RGB' or 'L', got {mode!r}")
        self.size = None if size is None else image_size("ImageFiles", size)
        self.mode, self.max_pixels = mode, max_pixels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> tuple[Array, ...]:
        chosen = np.arange(len(self))[index]
        if chosen.ndim == 0:
            return self._read(self.paths[int(chosen)]), self.labels[index]
        images: list[Array] = []
        for i in chosen.ravel():
            images.append(self._read(self.paths[i]))
            if images[-1].shape != images[0].shape:
                raise ValueError(
                    f"{self.paths[i]} has shape {images[-1].shape}, others of its batch "
                    f"{images[0].shape}; give a size"
                )
        channels = 3 if self.mode == "RGB" else 1
        none = np.zeros((0, channels, *(self.size or (0, 0))), np.uint8)
        return (np.stack(images) if images else none), self.labels[index]

    def __repr__(self) -> str:
        return f"ImageFiles({len(self)} images, {len(self.classes)} classes)"

    def _read(self, path: Path) -> Array:
        """The pixels (C, H, W) of one file."""
        pillow = require("PIL.Image", extra="data", purpose="reading images")
        format = FORMATS.get(path.suffix.lower())
        if format is None:
            raise ValueError(f"{path} is not one of {', '.join(FORMATS)}")
        with open_picture(path, (format,), self.max_pixels, extra="data") as image:
            pixels = image.convert(self.mode)
            if self.size is not None and pixels.size != self.size[::-1]:
                pixels = pixels.resize(self.size[::-1], pillow.Resampling.BILINEAR)
            array = np.array(pixels, np.uint8)
        return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def image_folder(
    root: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = None,
    mode: str = "RGB",
    max_pixels: int = MAX_PIXELS,
) -> ImageFiles:
    """The images in the subfolders of `root`, each of which is a class.

    Classes are sorted by name, files by path, so the dataset is the same on every machine. Other
    files, and names that begin with a dot, are passed over.

    Raises
    ------
    NotADirectoryError
        `root` is no folder.
    ValueError
        It has no subfolder, or a subfolder has no image; the message names it.
    """
    folder = _folder(Path(root))
    classes = sorted(
        entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."
    )
    if not classes:
        raise ValueError(f"{folder} has no subfolders, one a class")
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = _images_under(folder / name)
        if not found:
            raise ValueError(f"{folder / name} holds no images ({', '.join(FORMATS)})")
        paths += found
        labels += [label] * len(found)
    return ImageFiles(paths, labels, classes, size=size, mode=mode, max_pixels=max_pixels)


def tiny_imagenet(
    root: str | os.PathLike[str], *, size: int | tuple[int, int] | None = None
) -> tuple[ImageFiles, ImageFiles]:
    """Training and validation part of Tiny ImageNet: 200 classes, 64 x 64 pixels, in colour.

    `root` is the unpacked folder tiny-imagenet-200, with ``train/<class>/images/*.JPEG``,
    ``val/images/*.JPEG`` and ``val/val_annotations.txt``. Classes are WordNet numbers, sorted.

    Raises
    ------
    NotADirectoryError, FileNotFoundError, ValueError
        A folder or a file is missing, or an annotation names no known class.
    """
    folder = Path(root)
    train = image_folder(folder / "train", size=size)
    numbers = {name: label for label, name in enumerate(train.classes)}
    annotations = folder / "val" / "val_annotations.txt"
    paths, labels = [], []
    for line in annotations.read_text(encoding="utf-8").splitlines():
        name, _, rest = line.partition("\t")
        label = numbers.get(rest.partition("\t")[0])
        if label is None or Path(name).name != name:
            raise ValueError(f"{annotations}: {line!r} names no image of a known class")
        path = folder / "val" / "images" / name
        if not path.is_file():
            raise FileNotFoundError(f"{annotations} names {path}, which is not there")
        paths.append(path)
        labels.append(label)
    return train, ImageFiles(paths, labels, train.classes, size=size)


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is not a folder")
    return path


def _images_under(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in FORMATS and path.name[0] != "." and path.is_file()
    )
