"""Open image files of unknown origin.

Files are untrusted: only the formats that the caller names are decoded, and the size in the header
is looked at before any pixel is.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._extras import require

if TYPE_CHECKING:
    from PIL import Image


@contextmanager
def open_picture(
    path: Path, formats: Sequence[str], max_pixels: int, *, extra: str
) -> Iterator[Image.Image]:
    """The (first) picture in a file, upright, at most 8 bits a channel.

    What goes wrong while the caller works with it counts as damage: decoders are lazy.

    Raises
    ------
    ValueError
        Not an image of one of the formats, damaged, or too large; the message names the file.
    OSError
        The file cannot be read.
    """
    pillow = require("PIL.Image", extra=extra, purpose="reading images")
    operations = require("PIL.ImageOps", extra=extra, purpose="reading images")
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", pillow.DecompressionBombWarning)  # our limit decides
        try:
            with pillow.open(file, formats=tuple(formats)) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise ValueError(
                        f"{width} x {height} pixels are more than the {max_pixels:,} allowed"
                    )
                yield _eight_bits(pillow, operations.exif_transpose(image))
        except pillow.UnidentifiedImageError as error:
            kinds = f"a {formats[0]} image" if len(formats) == 1 else "an image"
            which = "" if len(formats) == 1 else f" ({', '.join(formats)})"
            raise ValueError(f"{path} is not {kinds}{which}") from error
        except Exception as error:  # a damaged file makes decoders raise nearly anything
            raise ValueError(f"{path} cannot be decoded: {error}") from error


def _eight_bits(pillow: Any, image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image
    # Pillow would clip 16 bits to 8 instead of scaling them.
    wide = np.clip(np.asarray(image), 0, 0xFFFF)
    scaled: Image.Image = pillow.fromarray((wide >> 8).astype(np.uint8))
    return scaled
