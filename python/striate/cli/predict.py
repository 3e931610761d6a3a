"""`striate predict`: which garment is in a picture?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import positive_int

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def add_command(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "predict",
        help="classify image files with a trained network",
        description="Classify image files (PNG, JPEG, BMP, GIF, WEBP) with a checkpoint that "
        "`striate train` wrote.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("images", nargs="+", type=Path, metavar="IMAGE")
    add(
        "--checkpoint",
        type=Path,
        required=True,
        metavar="C",
        help="file that `striate train` wrote",
    )
    add("--top", type=positive_int, default=3, metavar="K", help="classes to show (default: 3)")
    add(
        "--invert",
        choices=["auto", "yes", "no"],
        default="auto",
        help="swap light and dark, as the network knows light clothes on black; "
        "auto (default) does so where the picture's border is light",
    )
    add("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def run(arguments: argparse.Namespace) -> None:
    import numpy as np

    from striate.training import load_checkpoint

    from .images import read_image

    checkpoint = load_checkpoint(arguments.checkpoint)
    images = np.stack([read_image(path, arguments.invert) for path in arguments.images])
    model = checkpoint.model()
    assert checkpoint.normalize is not None  # as in every file that names an architecture
    probabilities = classify(model, checkpoint.normalize(images[:, None]))

    top = min(arguments.top, len(checkpoint.classes))
    predictions: list[dict[str, Any]] = []
    for path, row in zip(arguments.images, probabilities, strict=True):
        best = np.argsort(-row, kind="stable")[:top]
        classes = [
            {
                "class": checkpoint.classes[index],
                "index": int(index),
                "probability": float(row[index]),
            }
            for index in best
        ]
        predictions.append({"image": str(path), "top": classes})

    if arguments.json:
        print(json.dumps({"command": "predict", "predictions": predictions}))
        return
    for prediction in predictions:
        shown = ", ".join(
            f"{item['class']} {item['probability']:.1%}" for item in prediction["top"]
        )
        print(f"{prediction['image']}: {shown}")


def classify(model: Any, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Class probabilities (N, classes) for normalised images (N, 1, H, W)."""
    from striate.autograd import no_grad
    from striate.ops import softmax

    with no_grad():
        probabilities: npt.NDArray[np.float32] = softmax(model(inputs).numpy(), 1)
    return probabilities
