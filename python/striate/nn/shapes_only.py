"""Networks without weights: everything has its shape, nothing has memory.

Who asks how large a network is need not draw 138 million numbers first. Inside `shapes_only` drawn
weights are one zero, seen from every place (strides of 0), and a `Parameter` keeps them so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import numpy.typing as npt

_active: ContextVar[bool] = ContextVar("striate_shapes_only", default=False)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Layers built inside have parameters of the right shape and dtype that take no memory.

    They can be counted (`striate.nn.summary`, `striate.nn.receptive_field`) and computed with, as
    if all weights were 0. They cannot be changed: `assign`, an optimiser and `load_state_dict`
    raise ValueError. Holds for the thread or task that entered it.

    Examples
    --------
    >>> from striate import nn
    >>> with nn.shapes_only():
    ...     layer = nn.Linear(25088, 4096)
    >>> layer.weight.size
    102760448
    """
    token = _active.set(True)
    try:
        yield
    finally:
        _active.reset(token)


def placeholder(shape: Sequence[int], dtype: Any) -> npt.NDArray[np.floating[Any]] | None:
    """What stands for drawn weights inside `shapes_only`; None outside, where they are drawn."""
    return np.broadcast_to(np.zeros((), dtype), tuple(shape)) if _active.get() else None


def is_placeholder(array: npt.NDArray[Any]) -> bool:
    """Whether `array` is one number, seen from every place, inside `shapes_only`."""
    return _active.get() and array.size > 1 and not any(array.strides)
