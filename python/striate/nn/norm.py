"""Batch normalisation layers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..ops.arguments import integer, operand
from .module import Module
from .parameter import Parameter


class _BatchNorm(Module):
    """One class for all ranks; `ndims` are the numbers of axes that a subclass takes."""

    ndims: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        self.num_features = integer(type(self).__name__, "num_features", num_features)
        self.eps, self.momentum = eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.register_parameter(
            "weight", Parameter(np.ones(num_features, dtype)) if affine else None
        )
        self.register_parameter(
            "bias", Parameter(np.zeros(num_features, dtype)) if affine else None
        )
        tracked = track_running_stats
        self.register_buffer("running_mean", np.zeros(num_features, dtype) if tracked else None)
        self.register_buffer("running_var", np.ones(num_features, dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64) if tracked else None)

    def forward(self, input: Any) -> Any:
        input = operand(type(self).__name__, "input", input)
        if len(input.shape) not in self.ndims or input.shape[1] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}: input must have {' or '.join(map(str, self.ndims))} axes "
                f"and {self.num_features} channels, got shape {input.shape}"
            )
        momentum = self.momentum
        counts = self.training and self.track_running_stats
        if counts and momentum is None:  # the average of all batches, this one included
            momentum = 1.0 / (float(self.num_batches_tracked) + 1.0)
        output = ops.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if momentum is None else momentum,
            self.eps,
        )
        if counts:  # a batch that was refused is none
            self.num_batches_tracked += 1
        return output

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L); see `BatchNorm2d`."""

    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W); see `striate.batch_norm` for the formula.

    Parameters
    ----------
    num_features : int
        C.
    eps : float
    momentum : float or None
        Weight of a new batch in the running statistics; None averages all batches equally.
    affine : bool
        Whether to learn a scale (`weight`) and a shift (`bias`) a channel.
    track_running_stats : bool
        Whether to keep `running_mean`, `running_var` (unbiased) and `num_batches_tracked` for the
        evaluation mode; without them the batch's own statistics are used there too.
    dtype : float32 or float64
    """

    ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (N, C, D, H, W); see `BatchNorm2d`."""

    ndims = (5,)
