"""More than one look at an image: crops of it, and networks that vote.

Both average probabilities, not scores, and return the logarithm of the mean: what a softmax turns
back into the probabilities and a cross-entropy takes as it is, so that `evaluate` needs to know
nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from striate import nn, ops
from striate.autograd import stack
from striate.ops.arguments import operand, per_axis


def ten_crop(images: Any, size: int | tuple[int, int]) -> list[Any]:
    """The four corners and the centre of each image, then the same mirrored left to right.

    Parameters
    ----------
    images : array_like or Tensor, shape (N, C, H, W)
    size : int or (int, int)
        Height and width of the crops. A centre between two pixels is rounded as torchvision does,
        half to even.

    Returns
    -------
    list of ten, each of shape (N, C, *size)
        Views of arrays: upper left, upper right, lower left, lower right, centre; then their
        mirror images in the order in which cropping the mirrored image gives them.

    Raises
    ------
    ValueError
        The images are not (N, C, H, W), or smaller than the crops.

    References
    ----------
    Lecture 000 (AlexNet's evaluation).
    """
    images = operand("ten_crop", "images", images)
    height, width = per_axis("ten_crop", "size", size, 2)
    if len(images.shape) != 4:
        raise ValueError(f"ten_crop: images must be (N, C, H, W), got shape {images.shape}")
    down, right = images.shape[2] - height, images.shape[3] - width
    if min(height, width) < 1 or min(down, right) < 0:
        raise ValueError(
            f"ten_crop: size {height, width} must be positive and fit into images of "
            f"{images.shape[2:]}"
        )
    centre = round(down / 2), round(right / 2)
    places = ((0, 0), (0, right), (down, 0), (down, right), centre)
    return [
        view[:, :, top : top + height, left : left + width]
        for view in (images, images[:, :, :, ::-1])
        for top, left in places
    ]


class MultiCrop(nn.Module):
    """A classifier that looks at several crops of each image and averages their probabilities.

    Parameters
    ----------
    model
        Maps a crop to class scores (N, classes).
    crops
        Maps images to a sequence of batches as large: ``lambda images: ten_crop(images, 24)``, or
        ``lambda images: [images, images[..., ::-1]]`` for the two mirror images.

    Notes
    -----
    Calling it returns the logarithm of the mean probabilities, (N, classes).
    """

    def __init__(self, model: nn.Module, crops: Callable[[Any], Sequence[Any]]) -> None:
        super().__init__()
        self.model, self.crops = model, crops

    def forward(self, input: Any) -> Any:
        return _log_mean([self.model(crop) for crop in self.crops(input)])


class Ensemble(nn.Module):
    """Several classifiers, their probabilities averaged, as AlexNet's seven networks.

    Calling it returns the logarithm of the mean probabilities, (N, classes).

    References
    ----------
    Lecture 000.
    """

    def __init__(self, models: Iterable[nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)
        if not len(self.models):
            raise ValueError("Ensemble: needs one model at least")

    def forward(self, input: Any) -> Any:
        return _log_mean([model(input) for model in self.models])


def _log_mean(scores: Sequence[Any]) -> Any:
    """log(mean(softmax(scores))), without leaving the logarithms: small ones would become zero."""
    if not len(scores):
        raise ValueError("MultiCrop: needs one crop at least")
    logs = stack([ops.log_softmax(each, 1) for each in scores])
    highest = logs.numpy().max(axis=0)
    # A class that none believes in: minus infinity less itself would be NaN.
    highest = np.where(np.isneginf(highest), highest.dtype.type(0), highest)
    return (logs - highest).exp().mean(axis=0).log() + highest
