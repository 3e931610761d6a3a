"""Convolution layers: one class for all ranks, thin subclasses for users."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..ops.arguments import (
    PADDINGS,
    image,
    integer,
    padding_pairs,
    per_axis,
    per_axis_pairs,
)
from ..ops.pad import MODES
from . import init
from .module import Module
from .parameter import Parameter


class _ConvNd(Module):
    """What convolutions and transposed convolutions share: form, weights and repr.

    Weights are drawn as in PyTorch: Kaiming uniform with a = sqrt(5), that is uniform within
    1 / sqrt(fan_in); so is the bias. Lectures 000-003.
    """

    rank: ClassVar[int]
    function: ClassVar[Callable[..., Any]]
    transposed: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        rng: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        modes = ("zeros",) if self.transposed else ("zeros", *MODES[1:])
        if padding_mode not in modes:
            raise ValueError(f"{name}: padding_mode must be one of {modes}, got {padding_mode!r}")
        self.padding_mode = padding_mode
        self.in_channels = integer(name, "in_channels", in_channels)
        self.out_channels = integer(name, "out_channels", out_channels)
        self.groups = integer(name, "groups", groups)
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, self.rank)
        self.stride = per_axis(name, "stride", stride, self.rank)
        self.dilation = per_axis(name, "dilation", dilation, self.rank)
        self.padding: Any = padding
        if not isinstance(padding, str):
            pairs = per_axis_pairs(name, "padding", padding, self.rank)
            self.padding = tuple(low if low == high else (low, high) for low, high in pairs)
        else:
            words = [word for word in PADDINGS if word != "causal" or self.rank == 1]
            words = ["valid"] if self.transposed else words
            if padding not in words:
                raise ValueError(
                    f"{name}: padding must be numbers or one of {words}, got {padding!r}"
                )
        if min(self.in_channels, self.out_channels, *self.kernel_size) < 1:
            raise ValueError(
                f"{name}: channels and kernel_size must be positive, got {in_channels}, "
                f"{out_channels}, {kernel_size}"
            )
        if self.groups < 1 or self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"{name}: groups must divide in_channels and out_channels, got groups={groups}, "
                f"in_channels={in_channels}, out_channels={out_channels}"
            )
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        rng = np.random.default_rng(rng)
        shape = (first, second // self.groups, *self.kernel_size)
        weight = init.kaiming_uniform(shape, math.sqrt(5.0), rng=rng, dtype=dtype)
        self.weight = Parameter(weight)
        if bias:
            bound = 1.0 / math.sqrt(init.fans(shape)[0])
            drawn = init.uniform((self.out_channels,), -bound, bound, rng=rng, dtype=dtype)
            self.bias = Parameter(drawn)
        else:
            self.register_parameter("bias", None)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        if set(self.padding) != {0}:
            text += f", padding={self.padding!r}"
        if set(self.dilation) != {1}:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode!r}"
        return text if self.bias is not None else text + ", bias=False"


class _Conv(_ConvNd):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        rng: Any = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            rng,
            dtype,
        )

    def forward(self, input: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._padded(input), 0
        return self.function(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def _padded(self, input: Any) -> Any:
        name = type(self).__name__
        input, rank = image(name, "input", input)
        if rank != self.rank:
            raise ValueError(f"{name}: input must have {self.rank + 2} axes, got {input.shape}")
        form = (self.kernel_size, self.stride, self.dilation)
        pairs = padding_pairs(name, self.padding, input.shape[2:], *form)
        return ops.pad(input, pairs, self.padding_mode)


class _ConvTranspose(_ConvNd):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        *,
        rng: Any = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            rng,
            dtype,
        )
        name = type(self).__name__
        self.output_padding = per_axis(name, "output_padding", output_padding, self.rank)

    def forward(self, input: Any) -> Any:
        return self.function(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )

    def extra_repr(self) -> str:
        extra = f", output_padding={self.output_padding}" if any(self.output_padding) else ""
        return super().extra_repr() + extra


class Conv1d(_Conv):
    """Convolution of (N, C, L) with learnt filters; see `striate.conv1d` and `Conv2d`."""

    rank = 1
    function = staticmethod(ops.conv1d)


class Conv2d(_Conv):
    """Convolution of (N, C, H, W) with learnt filters.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or (int, int)
    stride, padding, dilation, groups
        As for `striate.conv2d`.
    bias : bool
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What the padding holds; see `striate.pad`.
    rng : int, numpy.random.Generator or None
        Where the weights are drawn from.
    dtype : float32 or float64

    Raises
    ------
    TypeError, ValueError
        A number that is no int, groups that do not divide the channels, another padding_mode.
    """

    rank = 2
    function = staticmethod(ops.conv2d)


class Conv3d(_Conv):
    """Convolution of (N, C, D, H, W) with learnt filters; see `striate.conv3d`, `Conv2d`."""

    rank = 3
    function = staticmethod(ops.conv3d)


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of (N, C, L); see `striate.conv_transpose1d` and `Conv2d`."""

    rank = 1
    function = staticmethod(ops.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of (N, C, H, W); see `striate.conv_transpose2d` and `Conv2d`."""

    rank = 2
    function = staticmethod(ops.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution of (N, C, D, H, W); see `striate.conv_transpose3d`, `Conv2d`."""

    rank = 3
    function = staticmethod(ops.conv_transpose3d)
