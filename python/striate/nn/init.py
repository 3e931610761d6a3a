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
        "selu": 0.75,
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


def constant(shape: Sequence[int], value: float, *, dtype: Any = np.float32) -> Array:
    """One number everywhere; 0 and 1 are what biases and scales begin with."""
    return np.full(tuple(shape), value, dtype)


def trunc_normal(
    shape: Sequence[int],
    std: float = 1.0,
    mean: float = 0.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    rng: Any = None,
    dtype: Any = np.float32,
) -> Array:
    """Normal, where what falls outside [a, b] is drawn again. It may take long if little falls in.

    Raises ValueError where less than one number in a thousand would.
    """
    below = [0.5 * (1.0 + math.erf((end - mean) / (std * math.sqrt(2.0)))) for end in (a, b)]
    if not below[1] - below[0] > 1e-3:
        raise ValueError(f"init: [{a}, {b}] holds next to nothing of mean {mean}, std {std}")
    rng = np.random.default_rng(rng)
    drawn = rng.normal(mean, std, tuple(shape))
    while (outside := (drawn < a) | (drawn > b)).any():
        drawn[outside] = rng.normal(mean, std, int(outside.sum()))
    result: Array = drawn.astype(dtype)
    return result


def orthogonal(
    shape: Sequence[int], gain: float = 1.0, *, rng: Any = None, dtype: Any = np.float32
) -> Array:
    """Rows (out) of length `gain` at right angles, or columns if those are fewer (Saxe 2014).

    Axes from the second on count as one.
    """
    if len(shape) < 2:
        raise ValueError(f"init: a weight needs two axes or more, got shape {tuple(shape)}")
    rows, columns = shape[0], math.prod(shape[1:])
    drawn = np.random.default_rng(rng).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # or the signs would be LAPACK's choice
    result: Array = (gain * (q if rows >= columns else q.T)).reshape(tuple(shape)).astype(dtype)
    return result


def dirac(shape: Sequence[int], groups: int = 1, *, dtype: Any = np.float32) -> Array:
    """A convolution that hands its input on: 1 in the middle of kernel (c, c)."""
    if not 3 <= len(shape) <= 5 or groups < 1 or shape[0] % groups:
        raise ValueError(f"init: dirac needs (out, in, kernel...), got {tuple(shape)}, {groups}")
    weight: Array = np.zeros(tuple(shape), dtype)
    out = shape[0] // groups
    middle = tuple(size // 2 for size in shape[2:])
    for group in range(groups):
        for c in range(min(out, shape[1])):
            weight[(group * out + c, c, *middle)] = 1
    return weight
