"""Activations as modules; their formulas are in `striate.ops`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import ops
from ..ops.arguments import integer, real
from .module import Module
from .parameter import Parameter


class ReLU(Module):
    """``max(x, 0)``."""

    def forward(self, input: Any) -> Any:
        return ops.relu(input)


class LeakyReLU(Module):
    """``x`` where x > 0, else ``negative_slope * x``."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = real("LeakyReLU", "negative_slope", negative_slope)
        if not 0.0 < self.negative_slope < math.inf:
            raise ValueError(
                f"LeakyReLU: negative_slope must be positive and finite, got {negative_slope}"
            )

    def forward(self, input: Any) -> Any:
        return ops.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """``x`` where x > 0, else ``weight * x``, with a learnt weight for all or for each channel.

    `num_parameters` is 1, or C of input (N, C, ...); `init` the weight's first value, in `dtype`.
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, *, dtype: Any = np.float32
    ) -> None:
        super().__init__()
        self.num_parameters = integer("PReLU", "num_parameters", num_parameters)
        if self.num_parameters < 1:
            raise ValueError(f"PReLU: num_parameters must be positive, got {num_parameters}")
        self.weight = Parameter(np.full(self.num_parameters, init, dtype))

    def forward(self, input: Any) -> Any:
        return ops.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ReLU6(Module):
    """``min(max(x, 0), 6)``."""

    def forward(self, input: Any) -> Any:
        return ops.relu6(input)


class ELU(Module):
    """``x`` where x > 0, else ``alpha * (exp(x) - 1)``."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, input: Any) -> Any:
        return ops.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class SELU(Module):
    """``scale * elu(x, alpha)``, which keeps mean 0 and variance 1; see `striate.selu`."""

    def forward(self, input: Any) -> Any:
        return ops.selu(input)


class Sigmoid(Module):
    """``1 / (1 + exp(-x))``."""

    def forward(self, input: Any) -> Any:
        return ops.sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent of input of any shape."""

    def forward(self, input: Any) -> Any:
        return ops.tanh(input)


class SiLU(Module):
    """``x * sigmoid(x)``."""

    def forward(self, input: Any) -> Any:
        return ops.silu(input)


class GELU(Module):
    """``x * P(normal < x)``, exact or, with ``approximate="tanh"``, by a tanh."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        return ops.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Mish(Module):
    """``x * tanh(softplus(x))``."""

    def forward(self, input: Any) -> Any:
        return ops.mish(input)


class Hardsigmoid(Module):
    """``min(max(x + 3, 0), 6) / 6``."""

    def forward(self, input: Any) -> Any:
        return ops.hardsigmoid(input)


class Hardswish(Module):
    """``x * hardsigmoid(x)``."""

    def forward(self, input: Any) -> Any:
        return ops.hardswish(input)


class LogSigmoid(Module):
    """``log(sigmoid(x))``."""

    def forward(self, input: Any) -> Any:
        return ops.logsigmoid(input)


class Softplus(Module):
    """``log(1 + exp(beta * x)) / beta``; x itself where ``beta * x > threshold``."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Any) -> Any:
        return ops.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """``exp(x_i) / sum_j exp(x_j)`` along `dim`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return ops.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """The logarithm of `Softmax`, without its loss of accuracy."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return ops.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


ACTIVATIONS = (
    ReLU,
    LeakyReLU,
    PReLU,
    ReLU6,
    ELU,
    SELU,
    Sigmoid,
    Tanh,
    SiLU,
    GELU,
    Mish,
    Hardsigmoid,
    Hardswish,
    LogSigmoid,
    Softplus,
)
"""Every layer here that works on each number alone."""
