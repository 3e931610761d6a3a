"""The fully connected layer, and the layers around it that change only the shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import ops
from ..autograd import Tensor
from ..ops.arguments import axis_of, integer, operand
from . import init
from .module import Module
from .parameter import Parameter


class Linear(Module):
    """``y = x @ weight.T + bias`` over the last axis; weights uniform within 1 / sqrt(in_features).

    x is (..., in_features), y (..., out_features), `weight` (out_features, in_features). Weights
    are drawn from `rng`, an int, a Generator or None, in `dtype`.

    Source: lectures 000 and 004.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: Any = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        self.in_features = integer("Linear", "in_features", in_features)
        self.out_features = integer("Linear", "out_features", out_features)
        if min(self.in_features, self.out_features) < 1:
            raise ValueError(
                f"Linear: features must be positive, got {in_features}, {out_features}"
            )
        rng = np.random.default_rng(rng)
        shape = (self.out_features, self.in_features)
        self.weight = Parameter(init.kaiming_uniform(shape, math.sqrt(5.0), rng=rng, dtype=dtype))
        if bias:
            bound = 1.0 / math.sqrt(self.in_features)
            drawn = init.uniform((self.out_features,), -bound, bound, rng=rng, dtype=dtype)
            self.bias = Parameter(drawn)
        else:
            self.register_parameter("bias", None)

    def forward(self, input: Any) -> Any:
        return ops.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Flatten(Module):
    """Join the axes from `start_dim` to `end_dim` into one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        input = operand("Flatten", "input", input)
        shape = input.shape
        first = axis_of("Flatten", "start_dim", self.start_dim, len(shape))
        last = axis_of("Flatten", "end_dim", self.end_dim, len(shape))
        if first > last:
            raise ValueError(f"Flatten: start_dim {first} lies behind end_dim {last}")
        joined = math.prod(shape[first : last + 1])
        return input.reshape((*shape[:first], joined, *shape[last + 1 :]))

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Returns its input, of any shape."""

    def forward(self, input: Tensor) -> Tensor:
        return input
