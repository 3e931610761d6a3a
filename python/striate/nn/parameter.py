"""The tensors that are learnt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import _core
from ..autograd import Tensor
from .shapes_only import is_placeholder


class Parameter(Tensor):
    """A Tensor that a `Module` registers and an optimiser changes.

    It owns its memory: `data` is copied, and read-only, so that every change goes through `assign`
    or `writing` and is counted in `version`. What is derived from a parameter (saved activations,
    packed weights) can therefore be known to be stale. `requires_grad` tells whether `backward`
    leaves a gradient.

    Inside `no_grad` convolution and linear keep the weight in the form that their kernels read,
    until it changes: the next call need not pack it again. The results have the same bits. See
    `striate.set_packed_weights_limit`.
    """

    __slots__ = ("_packed",)

    _packed: tuple[int, _core.PackedWeights] | None  # the version that was packed, and its forms

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)
        self._replace(self._data)

    @contextmanager
    def writing(self) -> Iterator[Any]:
        if self._data.size > 1 and not any(self._data.strides):
            raise ValueError(
                f"Parameter of shape {self._data.shape} was made inside shapes_only; "
                "it has no memory to write to"
            )
        self._packed = None  # not only stale: training wants the memory
        self._data.flags.writeable = True
        try:
            with super().writing() as data:
                yield data
        finally:
            self._data.flags.writeable = False

    def _replace(self, data: Any) -> None:
        """Take a copy of `data` for a new value, its dtype and strides included."""
        self._data = data if is_placeholder(data) else np.array(data)
        self._data.flags.writeable = False
        self._version[0] += 1
        self._packed = None

    def packed_weights(self) -> _core.PackedWeights | None:
        """Where kernels keep the forms they made of this version; None while somebody writes."""
        version, writers = self._version
        if writers or self._data.flags.writeable:
            return None
        packed = self._packed  # once: another thread may change it
        if packed is None or packed[0] != version:
            packed = self._packed = version, _core.PackedWeights()
        return packed[1]

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        copy = memo[id(self)] = type(self)(self._data, self.requires_grad)
        return copy

    def __reduce__(self) -> Any:
        return type(self), (self._data, self.requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
