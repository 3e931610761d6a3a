"""How weights are drawn: functions of a shape, whose arrays `Parameter.assign` puts in place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .shapes_only import placeholder

Array = npt.NDArray[np.floating[Any]]


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, kernel...): the products that each output sums, and
    the outputs that each input reaches."""
    if len(shape) < 2:
        raise ValueError(f"init: a weight needs two axes or more, got shape {tuple(shape)}")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def gain(nonlinearity: str, a: float = 0.0) -> float:
    """The factor that keeps the variance through a nonlinearity; `a` is the leaky ReLU's slope."""
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5.0 / 3.0,
        "relu": math.sqrt(2.0),
        "leaky_relu": math.sqrt(2.0 / (1.0 + a * a)),
    }
    if nonlinearity not in gains:
        raise ValueError(f"init: nonlinearity must be one of {list(gains)}, got {nonlinearity!r}")
    return gains[nonlinearity]


def uniform(
    shape: Sequence[int], low: float, high: float, *, rng: Any = None, dtype: Any = np.float32
) -> Array:
    """Uniform in [low, high). `rng` is an int, a Generator or None, here and below."""
    if (nothing := placeholder(shape, dtype)) is not None:
        return nothing
    drawn: Array = np.random.default_rng(rng).uniform(low, high, tuple(shape)).astype(dtype)
    return drawn


def normal(shape: Sequence[int], std: float, *, rng: Any = None, dtype: Any = np.float32) -> Array:
    """Normal with mean 0."""
    if (nothing := placeholder(shape, dtype)) is not None:
        return nothing
    drawn: Array = np.random.default_rng(rng).normal(0.0, std, tuple(shape)).astype(dtype)
    return drawn


def _kaiming_std(shape: Sequence[int], a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return gain(nonlinearity, a) / math.sqrt(max(fans(shape)[mode == "fan_out"], 1))


def kaiming_uniform(
    shape: Sequence[int],
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: Any = None,
    dtype: Any = np.float32,
) -> Array:
    """Uniform with variance gain^2 / fan: keeps the variance of activations (He et al. 2015)."""
    bound = math.sqrt(3.0) * _kaiming_std(shape, a, mode, nonlinearity)
    return uniform(shape, -bound, bound, rng=rng, dtype=dtype)


def kaiming_normal(
    shape: Sequence[int],
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: Any = None,
    dtype: Any = np.float32,
) -> Array:
    """Normal with variance gain^2 / fan (He et al. 2015)."""
    return normal(shape, _kaiming_std(shape, a, mode, nonlinearity), rng=rng, dtype=dtype)


def xavier_uniform(
    shape: Sequence[int], gain: float = 1.0, *, rng: Any = None, dtype: Any = np.float32
) -> Array:
    """Uniform with variance 2 gain^2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""
    bound = gain * math.sqrt(6.0 / max(sum(fans(shape)), 1))
    return uniform(shape, -bound, bound, rng=rng, dtype=dtype)


def xavier_normal(
    shape: Sequence[int], gain: float = 1.0, *, rng: Any = None, dtype: Any = np.float32
) -> Array:
    """Normal with variance 2 gain^2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""
    return normal(shape, gain * math.sqrt(2.0 / max(sum(fans(shape)), 1)), rng=rng, dtype=dtype)
