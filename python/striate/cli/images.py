"""From an image file of unknown origin to what the network was trained on.

Only well-known formats are decoded, and none that is too large.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate._extras import require
from striate.data.pictures import open_picture

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
    with open_picture(path, FORMATS, MAX_PIXELS, extra="cli") as image:
        gray = _gray(pillow, image)

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
    if "A" in image.getbands() or "transparency" in image.info:
        color = image.convert("RGBA")
        paper = pillow.new("RGBA", color.size, "white")
        image = pillow.alpha_composite(paper, color)
    return image.convert("L")
