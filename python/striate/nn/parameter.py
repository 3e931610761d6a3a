"""The tensors that are learnt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd import Tensor


class Parameter(Tensor):
    """A Tensor that a `Module` registers and an optimiser changes.

    It owns its memory: `data` is copied, and read-only, so that every change goes through `assign`
    or `writing` and is counted in `version`. What is derived from a parameter (saved activations,
    packed weights) can therefore be known to be stale.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)
        self._replace(self._data)

    @contextmanager
    def writing(self) -> Iterator[Any]:
        self._data.flags.writeable = True
        try:
            with super().writing() as data:
                yield data
        finally:
            self._data.flags.writeable = False

    def _replace(self, data: Any) -> None:
        """Take a copy of `data` for a new value, its dtype and strides included."""
        self._data = np.array(data)
        self._data.flags.writeable = False
        self._version[0] += 1

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        copy = memo[id(self)] = type(self)(self._data, self.requires_grad)
        return copy

    def __reduce__(self) -> Any:
        return type(self), (self._data, self.requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
