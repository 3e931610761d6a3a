"""Operands of a problem in both memory formats; its operations and its bytes.

Both sides read the very same memory: a channels-last operand is one block with an NHWC view for
striate (NumPy strides) and the same view for PyTorch, which knows it by its strides too.
"""

from __future__ import annotations

from functools import cached_property
from math import prod

import numpy as np

from .cases import Problem

LAYOUTS = ("nchw", "nhwc")
_ALIGN = 64  # what PyTorch's allocator gives


class Operands:
    """Arrays of one memory format; `x`, `w`, `dy` as the direction needs them, made when asked."""

    def __init__(self, problem: Problem, layout: str, draw: int = 0) -> None:
        self.problem, self.layout, self.draw = problem, layout, draw

    def empty(self, shape: tuple[int, ...]) -> np.ndarray:
        """Aligned memory in this memory format."""
        stored = shape if self.layout == "nchw" else (shape[0], *shape[2:], shape[1])
        block = np.empty(prod(shape) * 4 + _ALIGN, np.uint8)
        start = -block.ctypes.data % _ALIGN
        array = block[start : start + prod(shape) * 4].view(np.float32).reshape(stored)
        return array if self.layout == "nchw" else np.moveaxis(array, -1, 1)

    def filled(self, shape: tuple[int, ...], seed: int, scale: float = 1.0) -> np.ndarray:
        """The same values in either format."""
        rng = np.random.default_rng(3 * self.draw + seed)
        count = prod(shape)
        # Normal numbers take longer to draw than most layers to compute: repeat a block of them.
        values = np.resize(rng.standard_normal(min(count, 999_983), np.float32), count)
        array = self.empty(shape)
        np.multiply(values.reshape(shape), np.float32(scale), out=array)
        return array

    @cached_property
    def x(self) -> np.ndarray:
        return self.filled(input_shape(self.problem), 1)

    @cached_property
    def w(self) -> np.ndarray:
        shape = weight_shape(self.problem)
        return self.filled(shape, 2, prod(shape[1:]) ** -0.5)

    @cached_property
    def dy(self) -> np.ndarray:
        return self.filled(output_shape(self.problem), 3)


def input_shape(p: Problem) -> tuple[int, ...]:
    return (p.mb, p.ic, *p.sizes("input"))


def weight_shape(p: Problem) -> tuple[int, ...]:
    return (p.oc, p.ic // p.g, *p.sizes("kernel"))


def output_shape(p: Problem) -> tuple[int, ...]:
    return (p.mb, p.oc if p.op == "conv" else p.ic, *p.sizes("output"))


def operations(p: Problem) -> float:
    """Multiply-adds count two; taps on padding count. Nought for what memory bounds anyway."""
    return 2.0 * prod(output_shape(p)) * prod(weight_shape(p)[1:]) if p.op == "conv" else 0.0


def traffic(p: Problem, direction: str) -> float:
    """Bytes of every array that the call reads or writes, once each.

    Batch norm reads its input twice where no cache keeps it, so at sizes of memory it cannot come
    to 100 % by this count. The gradient of a maximum reads int64 indices.
    """
    x, y = prod(input_shape(p)), prod(output_shape(p))
    if p.op == "conv":
        return 4.0 * (x + prod(weight_shape(p)) + y)
    if direction == "FWD":
        return 4.0 * (x + y)
    if p.op == "bnorm":
        return 4.0 * 3 * x  # input, gradient of the output, gradient of the input
    return 4.0 * (x + y) + (8.0 * y if p.alg == "max" else 0.0)
