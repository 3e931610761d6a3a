"""From an image file of unknown origin to what the network was trained on.

Files are untrusted: only well-known formats are decoded, and the size in the header is looked at
before any pixel is.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate._extras import require

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
MAX_PIXELS = 50_000_000
SIDE = 28


def read_image(path: Path, invert: str) -> npt.NDArray[np.uint8]:
    """Read a picture as the training images are: uint8 (28, 28), a light thing on black.

    Transparency becomes white paper, colour becomes grey, the picture is centred in a square of its
    background's shade and scaled down. Of an animation the first frame counts.

    Parameters
    ----------
    path
        The file.
    invert
        "yes" swaps light and dark, "no" does not, "auto" does so if the border is mostly light.

    Raises
    ------
    ValueError
        Not an image of an allowed format, damaged, or too large; the message names the file.
    OSError
        The file cannot be read.
    """
    pillow = require("PIL.Image", extra="cli", purpose="reading images")
    operations = require("PIL.ImageOps", extra="cli", purpose="reading images")
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("error", pillow.DecompressionBombWarning)  # our limit is stricter
        try:
            with pillow.open(file, formats=FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise ValueError(
                        f"{width} x {height} pixels are more than the {MAX_PIXELS:,} allowed"
                    )
                gray = _gray(pillow, operations.exif_transpose(image))
        except pillow.UnidentifiedImageError as error:
            raise ValueError(f"{path} is not an image ({', '.join(FORMATS)})") from error
        except Exception as error:  # a damaged file makes Pillow's decoders raise nearly anything
            raise ValueError(f"{path} cannot be decoded: {error}") from error

    pixels = np.asarray(gray)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    background = int(np.median(border))
    square = operations.pad(
        gray, (SIDE, SIDE), method=pillow.Resampling.BOX, color=background, centering=(0.5, 0.5)
    )
    light = background > 127
    result = np.array(square, dtype=np.uint8)
    return 255 - result if invert == "yes" or (invert == "auto" and light) else result


def _gray(pillow: Any, image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow would clip 16 bits to 8 instead of scaling them
        wide = np.asarray(image).astype(np.uint16)
        scaled: Image.Image = pillow.fromarray((wide >> 8).astype(np.uint8))
        return scaled
    if "A" in image.getbands() or "transparency" in image.info:
        color = image.convert("RGBA")
        paper = pillow.new("RGBA", color.size, "white")
        image = pillow.alpha_composite(paper, color)
    return image.convert("L")
