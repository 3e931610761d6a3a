"""Layers that change the size of feature maps and learn nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .. import ops
from .module import Module


class _MaxPool(Module):
    function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Any) -> Any:
        return self.function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class _AvgPool(Module):
    function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Any) -> Any:
        return self.function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool1d(_MaxPool):
    """Largest element of windows of (N, C, L); see `striate.max_pool1d`."""

    function = staticmethod(ops.max_pool1d)


class MaxPool2d(_MaxPool):
    """Largest element of windows of (N, C, H, W); see `striate.max_pool2d`."""

    function = staticmethod(ops.max_pool2d)


class MaxPool3d(_MaxPool):
    """Largest element of windows of (N, C, D, H, W); see `striate.max_pool3d`."""

    function = staticmethod(ops.max_pool3d)


class AvgPool1d(_AvgPool):
    """Mean of windows of (N, C, L); see `striate.avg_pool1d`."""

    function = staticmethod(ops.avg_pool1d)


class AvgPool2d(_AvgPool):
    """Mean of windows of (N, C, H, W); see `striate.avg_pool2d`."""

    function = staticmethod(ops.avg_pool2d)


class AvgPool3d(_AvgPool):
    """Mean of windows of (N, C, D, H, W); see `striate.avg_pool3d`."""

    function = staticmethod(ops.avg_pool3d)


class GlobalAvgPool(Module):
    """Mean of every channel, spatial axes kept with size 1. Source: lecture 003."""

    def forward(self, input: Any) -> Any:
        return ops.global_avg_pool(input)


class GlobalMaxPool(Module):
    """Largest element of every channel, spatial axes kept with size 1. Source: lecture 003."""

    def forward(self, input: Any) -> Any:
        return ops.global_max_pool(input)


class Upsample(Module):
    """Resize feature maps; see `striate.interpolate`. Source: lecture 001.

    `antialias` is an argument of PyTorch's function only, not of its layer.
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
        antialias: bool = False,
    ) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError(
                f"Upsample: give one of size and scale_factor, got {size}, {scale_factor}"
            )
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners
        self.recompute_scale_factor, self.antialias = recompute_scale_factor, antialias

    def forward(self, input: Any) -> Any:
        return ops.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
            self.antialias,
        )

    def extra_repr(self) -> str:
        if self.size is not None:
            return f"size={self.size}, mode={self.mode!r}"
        return f"scale_factor={self.scale_factor}, mode={self.mode!r}"


class ZeroPad(Module):
    """Surround feature maps with zeros; `padding` as for `striate.pad`. Source: lecture 003."""

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, input: Any) -> Any:
        return ops.pad(input, self.padding)

    def extra_repr(self) -> str:
        return f"{self.padding}"
