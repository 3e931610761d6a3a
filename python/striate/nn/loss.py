"""Losses as modules."""

from __future__ import annotations

from typing import Any

from .. import ops
from .module import Module


class CrossEntropyLoss(Module):
    """Cross-entropy of class scores (N, C, ...) and class numbers; see `striate.cross_entropy`."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return ops.cross_entropy(input, target, self.reduction)


class MSELoss(Module):
    """Mean squared error of two operands of one shape; see `striate.mse_loss`."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        return ops.mse_loss(input, target, self.reduction)
