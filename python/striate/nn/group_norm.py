"""Normalisation of each sample by itself, as layers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..ops.arguments import integer, operand, sizes
from .module import Module
from .norm import RunningNorm, small
from .parameter import Parameter


class GroupNorm(Module):
    """Normalisation of groups of channels of (N, C, ...); see `striate.group_norm`.

    `num_channels` is C; with `affine` a weight and a bias of shape (C,) are learnt, of `dtype`.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        self.num_groups = integer("GroupNorm", "num_groups", num_groups)
        self.num_channels = integer("GroupNorm", "num_channels", num_channels)
        if self.num_groups < 1 or self.num_channels % self.num_groups:
            raise ValueError(
                f"GroupNorm: num_groups={num_groups} does not divide num_channels={num_channels}"
            )
        self.eps, self.affine = small("GroupNorm", eps), affine
        self.register_parameter(
            "weight", Parameter(np.ones(num_channels, dtype)) if affine else None
        )
        self.register_parameter(
            "bias", Parameter(np.zeros(num_channels, dtype)) if affine else None
        )

    def forward(self, input: Any) -> Any:
        return ops.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class LayerNorm(Module):
    """Normalisation over the last axes; see `striate.layer_norm`.

    With `elementwise_affine` a weight is learnt, of shape `normalized_shape` and `dtype`, and with
    `bias` a bias too.
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        single = isinstance(normalized_shape, (int, np.integer))
        shape = (normalized_shape,) if single else normalized_shape
        self.normalized_shape = sizes("LayerNorm", "normalized_shape", shape)
        self.eps, self.elementwise_affine = small("LayerNorm", eps), elementwise_affine
        ones, zeros = (fill(self.normalized_shape, dtype) for fill in (np.ones, np.zeros))
        self.register_parameter("weight", Parameter(ones) if elementwise_affine else None)
        self.register_parameter("bias", Parameter(zeros) if elementwise_affine and bias else None)

    def forward(self, input: Any) -> Any:
        return ops.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class _InstanceNorm(RunningNorm):
    """One class for all ranks; `rank` is the number of spatial axes that a subclass takes."""

    rank: ClassVar[int]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype)

    def forward(self, input: Any) -> Any:
        input = operand(type(self).__name__, "input", input)
        if len(input.shape) != self.rank + 2 or input.shape[1] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}: input must have {self.rank + 2} axes and "
                f"{self.num_features} channels, got shape {input.shape}"
            )
        return ops.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of (N, C, L); see `striate.instance_norm` and `InstanceNorm2d`."""

    rank = 1


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of (N, C, H, W); see `striate.instance_norm`.

    `num_features` is C; with `affine` a weight and a bias of shape (C,) are learnt, of `dtype`;
    with `track_running_stats` evaluation uses the running statistics of training, which with
    ``momentum=None`` stay as they are, as in PyTorch.
    """

    rank = 2


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of (N, C, D, H, W); see `striate.instance_norm`, `InstanceNorm2d`."""

    rank = 3


class LocalResponseNorm(Module):
    """Division by the power of neighbouring channels; see `striate.local_response_norm`."""

    def __init__(
        self,
        size: int,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        average: bool = True,
    ) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k
        self.average = average

    def forward(self, input: Any) -> Any:
        return ops.local_response_norm(
            input, self.size, self.alpha, self.beta, self.k, self.average
        )

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
