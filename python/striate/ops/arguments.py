"""The form of arguments: what users may write becomes what `striate._core` reads.

Only form is decided here (TypeError, ValueError): numbers become a tuple with one entry a spatial
axis, array-likes become arrays. What the numbers mean, and whether they fit together, is checked
once, in C++. The fast way through, for ready arrays and plain ints, is short on purpose.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .. import _core
from ..autograd import Tensor, as_array, is_recording
from ..autograd.arrays import FLOAT32, FLOAT64

_LIMIT = 2**63
_FORMATS = (None, "contiguous", "channels_last")


def operand(op: str, name: str, value: Any) -> Any:
    """`value` as a ready ndarray, or the Tensor that it is."""
    if type(value) is np.ndarray:
        dtype = value.dtype
        if (dtype is FLOAT32 or dtype is FLOAT64) and value.flags.aligned:
            return value
    elif isinstance(value, Tensor):
        return value
    return as_array(value, f"{op}: {name}")


def image(op: str, name: str, value: Any) -> tuple[Any, int]:
    """An operand (N, C, spatial...), and the number of its spatial axes."""
    ready = operand(op, name, value)
    rank = len(ready.shape) - 2
    if not 1 <= rank <= 3:
        raise ValueError(f"{op}: {name} must have 1 to 3 spatial axes, got shape {ready.shape}")
    return ready, rank


def same_dtype(op: str, **operands: Any) -> None:
    """Refuse operands (None aside) of different dtypes: nothing is upcast silently."""
    first, *rest = [(name, value.dtype) for name, value in operands.items() if value is not None]
    for name, dtype in rest:
        if dtype != first[1]:
            raise TypeError(
                f"{op}: {first[0]} is {first[1]}, but {name} is {dtype}; convert one with .astype"
            )


def integer(op: str, name: str, value: Any) -> int:
    """A Python int that fits 64 bits, from any integer but a bool."""
    if type(value) is int and -_LIMIT <= value < _LIMIT:
        return value
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {name} must be an int, got {value!r}") from None
    if not -_LIMIT <= number < _LIMIT:
        raise ValueError(f"{op}: {name} must fit in 64 bits, got {number}")
    return number


def real(op: str, name: str, value: Any) -> float:
    """A Python float, from any real number but a bool."""
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # an int; not shown, as it may have more digits than Python prints
            raise ValueError(f"{op}: {name} is an int too large for a float") from None
    raise TypeError(f"{op}: {name} must be a number, got {value!r}")


def per_axis(op: str, name: str, value: Any, rank: int) -> tuple[int, ...]:
    """One int for each of `rank` spatial axes, from one int for all or a sequence."""
    if type(value) is int and -_LIMIT <= value < _LIMIT:
        return (value,) * rank
    if not np.iterable(value) or isinstance(value, (str, bytes)):
        return (integer(op, name, value),) * rank
    values = tuple([integer(op, name, entry) for entry in value])
    if len(values) != rank:
        raise ValueError(f"{op}: {name} must be an int or {rank} ints, got {value!r}")
    return values


def per_axis_pairs(op: str, name: str, value: Any, rank: int) -> tuple[tuple[int, int], ...]:
    """(low, high) for each spatial axis, from an int, an int an axis, or a pair an axis."""
    if type(value) is int and -_LIMIT <= value < _LIMIT:
        return ((value, value),) * rank
    if not np.iterable(value) or isinstance(value, (str, bytes)):
        both = integer(op, name, value)
        return ((both, both),) * rank
    pairs = []
    for entry in value:
        low, high = per_axis(op, name, entry, 2)
        pairs.append((low, high))
    if len(pairs) != rank:
        raise ValueError(
            f"{op}: {name} must be an int, {rank} ints or {rank} pairs (low, high), got {value!r}"
        )
    return tuple(pairs)


PADDINGS = ("valid", "same", "half", "full", "causal")


def padding_pairs(
    op: str,
    padding: Any,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[tuple[int, int], ...]:
    """(low, high) for each spatial axis, from numbers or one of the words.

    "valid" is none; "same" gives ceil(n / stride), as TensorFlow's; "half" reaches over half of a
    kernel, "full" over all of it but one tap, on both sides; "causal" the same before, none behind.
    """
    rank = len(stride)
    if type(padding) is not str:
        return per_axis_pairs(op, "padding", padding, rank)
    if padding not in PADDINGS:
        raise ValueError(f"{op}: padding must be numbers or one of {PADDINGS}, got {padding!r}")
    if padding == "causal" and rank != 1:
        raise ValueError(
            f"{op}: padding 'causal' is for one spatial axis, that of time; this has {rank}"
        )
    if padding == "valid" or min(stride) < 1 or min(dilation) < 1:  # C++ refuses the numbers
        return ((0, 0),) * rank
    pairs = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=False):
        past = min(max(d * (k - 1), 0), 2**62)  # C++ refuses such a dilation
        if padding == "same":
            total = max((-(-n // s) - 1) * s + past + 1 - n, 0)
            pairs.append((total // 2, total - total // 2))
        elif padding == "half":
            pairs.append(((past + 1) // 2,) * 2)
        else:
            pairs.append((past, past if padding == "full" else 0))
    pairs += [(0, 0)] * (rank - len(pairs))  # a wrong rank is for C++ to refuse
    return tuple(pairs)


def sizes(op: str, name: str, value: Any) -> tuple[int, ...]:
    """A shape: a sequence of ints."""
    if not np.iterable(value) or isinstance(value, (str, bytes)):
        raise TypeError(f"{op}: {name} must be a tuple of ints, got {value!r}")
    return tuple([integer(op, name, entry) for entry in value])


def axis_of(op: str, name: str, value: Any, ndim: int) -> int:
    """An axis counted from the front."""
    axis = integer(op, name, value)
    if not -ndim <= axis < ndim:
        raise ValueError(f"{op}: {name} must be an axis of {ndim} dimensions, got {axis}")
    return axis % ndim


def memory_format_of(op: str, value: Any) -> Any:
    # an array would be compared element by element
    if value is not None and not (isinstance(value, str) and value in _FORMATS):
        raise ValueError(
            f"{op}: memory_format must be None, 'contiguous' or 'channels_last', got {value!r}"
        )
    return value


def packed_weights_of(weight: Any, *others: Any) -> Any:
    """Where a call may keep `weight` packed for the next one; None: nowhere.

    Only parameters know when they change, and those that learn do so before the next call.
    """
    if isinstance(weight, Tensor) and not is_recording(weight, *others):
        return weight.packed_weights()
    return None


def format_of(array: Any) -> Any:
    """The memory format that a gradient of `array` should have; None where it has neither.

    A gradient cannot always tell by itself: that of a global pool has one pixel, which lies the
    same in both formats.
    """
    found = _core.memory_format(array)
    return found if found in _FORMATS else None


def destination(op: str, out: Any, *operands: Any) -> Any:
    """Check that `out` is an array to be filled, and that nobody waits for a gradient of it."""
    if out is None:
        return None
    if not isinstance(out, np.ndarray) or isinstance(out, (np.ma.MaskedArray, np.matrix)):
        raise TypeError(f"{op}: out must be a numpy.ndarray, got {type(out).__name__}")
    if is_recording(*operands):
        raise RuntimeError(
            f"{op}: out= cannot be used with a Tensor that requires grad; use it inside no_grad()"
        )
    return out
