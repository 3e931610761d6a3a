"""Architectures, and the fixed list of names under which checkpoints may ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from striate import nn

from .fashion import FashionCNN, fashion_cnn
from .lecture003 import lecture003_cnn, lecture003_mlp

__all__ = [
    "ARCHITECTURES",
    "FashionCNN",
    "create_model",
    "fashion_cnn",
    "lecture003_cnn",
    "lecture003_mlp",
]

ARCHITECTURES: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "fashion_cnn": fashion_cnn,
        "lecture003_cnn": lecture003_cnn,
        "lecture003_mlp": lecture003_mlp,
    }
)
"""Every name that a checkpoint can carry. A file never names code; it picks from this list."""


def create_model(
    name: str, num_classes: int = 10, *, rng: int | np.random.Generator | None = None
) -> nn.Module:
    """Build an architecture by its name in `ARCHITECTURES`.

    Raises
    ------
    ValueError
        The name is not in the list.
    """
    if name not in ARCHITECTURES:
        raise ValueError(
            f"unknown architecture {name!r}; known: {', '.join(sorted(ARCHITECTURES))}"
        )
    return ARCHITECTURES[name](num_classes, rng=rng)
