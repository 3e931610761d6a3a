"""Dropout as modules."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..ops.arguments import real
from .module import Module


class _Dropout(Module):
    """One class for all kinds; a subclass says what is dropped."""

    def __init__(self, p: float = 0.5, *, rng: Any = None) -> None:
        super().__init__()
        p = real(type(self).__name__, "p", p)
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"{type(self).__name__}: p must be a probability in [0, 1], got {p}")
        self.p = p
        self.rng = np.random.default_rng(rng)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout(_Dropout):
    """In training, set elements to 0 with probability `p` and scale the others by 1 / (1 - p).

    Input of any shape; see `striate.dropout`. Source: lectures 000 and 003.

    `rng` (int, numpy.random.Generator or None) becomes the attribute `rng`, a Generator that moves
    on with every call; a checkpoint that is to resume exactly must hold its state.
    """

    def forward(self, input: Any) -> Any:
        return ops.dropout(input, self.p, self.training, self.rng)


class Dropout1d(_Dropout):
    """In training, drop whole channels of (N, C, L); see `Dropout`."""

    def forward(self, input: Any) -> Any:
        return ops.dropout1d(input, self.p, self.training, self.rng)


class Dropout2d(_Dropout):
    """In training, drop whole channels of (N, C, H, W); see `Dropout`."""

    def forward(self, input: Any) -> Any:
        return ops.dropout2d(input, self.p, self.training, self.rng)


class Dropout3d(_Dropout):
    """In training, drop whole channels of (N, C, D, H, W); see `Dropout`."""

    def forward(self, input: Any) -> Any:
        return ops.dropout3d(input, self.p, self.training, self.rng)
