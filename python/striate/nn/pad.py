"""Layers that surround feature maps.

`padding` is PyTorch's: an int for all sides, or two numbers an axis beginning with the last axis,
(left, right, top, bottom, front, back). A negative number crops.
"""

from __future__ import annotations

from typing import Any, ClassVar

from .. import ops
from ..ops.arguments import image, integer, real, sizes
from .module import Module


class _Pad(Module):
    rank: ClassVar[int]
    mode: ClassVar[str]

    def __init__(self, padding: Any) -> None:
        super().__init__()
        name = type(self).__name__
        if hasattr(padding, "__len__"):
            self.padding = sizes(name, "padding", padding)
        else:
            self.padding = (integer(name, "padding", padding),) * (2 * self.rank)
        if len(self.padding) != 2 * self.rank:
            raise ValueError(
                f"{name}: padding must be an int or {2 * self.rank} ints, got {padding!r}"
            )
        self.value = 0.0

    def forward(self, input: Any) -> Any:
        name = type(self).__name__
        input, rank = image(name, "input", input)
        if rank != self.rank:
            raise ValueError(f"{name}: input must have {self.rank + 2} axes, got {input.shape}")
        pairs = [self.padding[i : i + 2] for i in range(2 * self.rank - 2, -1, -2)]
        return ops.pad(input, pairs, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = real(type(self).__name__, "value", value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Surround (N, C, L) with `value`; see `striate.pad`. Source: lecture 003."""

    rank = 1


class ConstantPad2d(_ConstantPad):
    """Surround (N, C, H, W) with `value`; see `striate.pad`. Source: lecture 003."""

    rank = 2


class ConstantPad3d(_ConstantPad):
    """Surround (N, C, D, H, W) with `value`; see `striate.pad`. Source: lecture 003."""

    rank = 3


class ZeroPad1d(_Pad):
    """Surround (N, C, L) with zeros; see `striate.pad`. Source: lecture 003."""

    rank, mode = 1, "constant"


class ZeroPad2d(_Pad):
    """Surround (N, C, H, W) with zeros; see `striate.pad`. Source: lecture 003."""

    rank, mode = 2, "constant"


class ZeroPad3d(_Pad):
    """Surround (N, C, D, H, W) with zeros; see `striate.pad`. Source: lecture 003."""

    rank, mode = 3, "constant"


class ReflectionPad1d(_Pad):
    """Surround (N, C, L) with its mirror image; see `striate.pad`. Source: lecture 003."""

    rank, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Surround (N, C, H, W) with its mirror image; see `striate.pad`. Source: lecture 003."""

    rank, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Surround (N, C, D, H, W) with its mirror image; see `striate.pad`. Source: lecture 003."""

    rank, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """Surround (N, C, L) with copies of its edge; see `striate.pad`. Source: lecture 003."""

    rank, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Surround (N, C, H, W) with copies of its edge; see `striate.pad`. Source: lecture 003."""

    rank, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """Surround (N, C, D, H, W) with copies of its edge; see `striate.pad`. Source: lecture 003."""

    rank, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """Surround (N, C, L) with copies of itself; see `striate.pad`."""

    rank, mode = 1, "circular"


class CircularPad2d(_Pad):
    """Surround (N, C, H, W) with copies of itself; see `striate.pad`."""

    rank, mode = 2, "circular"


class CircularPad3d(_Pad):
    """Surround (N, C, D, H, W) with copies of itself; see `striate.pad`."""

    rank, mode = 3, "circular"
