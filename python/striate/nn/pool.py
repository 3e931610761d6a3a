"""Pooling layers beyond maximum and mean of windows; those are in `resize`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .. import ops
from .module import Module


class _SumPool(Module):
    function: ClassVar[Callable[..., Any]]

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode

    def forward(self, input: Any) -> Any:
        return self.function(input, self.kernel_size, self.stride, self.padding, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"ceil_mode={self.ceil_mode}"
        )


class SumPool1d(_SumPool):
    """Sum of windows of (N, C, L); see `striate.sum_pool1d`. Source: lecture 002."""

    function = staticmethod(ops.sum_pool1d)


class SumPool2d(_SumPool):
    """Sum of windows of (N, C, H, W); see `striate.sum_pool2d`. Source: lecture 002."""

    function = staticmethod(ops.sum_pool2d)


class SumPool3d(_SumPool):
    """Sum of windows of (N, C, D, H, W); see `striate.sum_pool3d`. Source: lecture 002."""

    function = staticmethod(ops.sum_pool3d)


class _LPPool(Module):
    function: ClassVar[Callable[..., Any]]

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def forward(self, input: Any) -> Any:
        return self.function(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """p-norm of windows of (N, C, L); see `striate.lp_pool1d`. Source: lecture 002."""

    function = staticmethod(ops.lp_pool1d)


class LPPool2d(_LPPool):
    """p-norm of windows of (N, C, H, W); see `striate.lp_pool2d`. Source: lecture 002."""

    function = staticmethod(ops.lp_pool2d)


class LPPool3d(_LPPool):
    """p-norm of windows of (N, C, D, H, W); see `striate.lp_pool3d`. Source: lecture 002."""

    function = staticmethod(ops.lp_pool3d)


class _WeightedPool(Module):
    function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        sigma: float | None = None,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.sigma = padding, sigma
        self.count_include_pad = count_include_pad

    def forward(self, input: Any) -> Any:
        return self.function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.sigma,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"sigma={self.sigma}"
        )


class WeightedPool1d(_WeightedPool):
    """Average of windows of (N, C, L) that counts near pixels more; see `striate.weighted_pool1d`.
    Source: lecture 002."""

    function = staticmethod(ops.weighted_pool1d)


class WeightedPool2d(_WeightedPool):
    """Average of windows of (N, C, H, W) that counts near pixels more; see
    `striate.weighted_pool2d`. Source: lecture 002."""

    function = staticmethod(ops.weighted_pool2d)


class WeightedPool3d(_WeightedPool):
    """Average of windows of (N, C, D, H, W) that counts near pixels more; see
    `striate.weighted_pool3d`. Source: lecture 002."""

    function = staticmethod(ops.weighted_pool3d)


class ChannelMaxPool(Module):
    """Largest of neighbouring channels ("maxout"); see `striate.channel_max_pool`.
    Source: lecture 002."""

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size

    def forward(self, input: Any) -> Any:
        return ops.channel_max_pool(input, self.kernel_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}"


class _MaxUnpool(Module):
    function: ClassVar[Callable[..., Any]]

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding = padding

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        return self.function(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Maxima of (N, C, L) back to their places; see `striate.max_unpool1d`. Source: lecture 001."""

    function = staticmethod(ops.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """Maxima of (N, C, H, W) back to their places; see `striate.max_unpool2d`.
    Source: lecture 001."""

    function = staticmethod(ops.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """Maxima of (N, C, D, H, W) back to their places; see `striate.max_unpool3d`.
    Source: lecture 001."""

    function = staticmethod(ops.max_unpool3d)


class _AdaptiveAvgPool(Module):
    function: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        return self.function(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Mean of (N, C, L) down to a size; see `striate.adaptive_avg_pool1d`. Source: lecture 003."""

    function = staticmethod(ops.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Mean of (N, C, H, W) down to a size; see `striate.adaptive_avg_pool2d`.
    Source: lecture 003."""

    function = staticmethod(ops.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Mean of (N, C, D, H, W) down to a size; see `striate.adaptive_avg_pool3d`.
    Source: lecture 003."""

    function = staticmethod(ops.adaptive_avg_pool3d)


class _AdaptiveMaxPool(Module):
    function: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Any) -> Any:
        return self.function(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Maximum of (N, C, L) down to a size; see `striate.adaptive_max_pool1d`.
    Source: lecture 003."""

    function = staticmethod(ops.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maximum of (N, C, H, W) down to a size; see `striate.adaptive_max_pool2d`.
    Source: lecture 003."""

    function = staticmethod(ops.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Maximum of (N, C, D, H, W) down to a size; see `striate.adaptive_max_pool3d`.
    Source: lecture 003."""

    function = staticmethod(ops.adaptive_max_pool3d)
