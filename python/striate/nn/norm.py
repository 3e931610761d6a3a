"""Batch normalisation layers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..ops.arguments import integer, operand, real
from .module import Module
from .parameter import Parameter


def small(op: str, eps: Any) -> float:
    """What is added to a variance, for the constructors of layers."""
    number = real(op, "eps", eps)
    if not 0.0 <= number < math.inf:
        raise ValueError(f"{op}: eps must be finite and not negative, got {number}")
    return number


class RunningNorm(Module):
    """What batch and instance norms share: options, a scale and shift, running statistics."""

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        dtype: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.num_features = integer(name, "num_features", num_features)
        if self.num_features < 0:
            raise ValueError(f"{name}: num_features must not be negative, got {num_features}")
        self.eps = small(name, eps)
        self.momentum = None if momentum is None else real(name, "momentum", momentum)
        self.affine, self.track_running_stats = affine, track_running_stats
        ones, zeros = (fill(self.num_features, dtype) for fill in (np.ones, np.zeros))
        self.register_parameter("weight", Parameter(ones) if affine else None)
        self.register_parameter("bias", Parameter(zeros) if affine else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros if tracked else None)
        self.register_buffer("running_var", ones if tracked else None)
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64) if tracked else None)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(RunningNorm):
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
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype)

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
