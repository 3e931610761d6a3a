"""The primitives behind the operators of a Tensor, each with its gradient rules."""

# NumPy's own annotations return Any where the result may be an array or a scalar.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .arrays import FLOAT32, FLOAT64, as_array
from .tape import Primitive, Variable, primitive

if TYPE_CHECKING:
    from .arrays import Array


_LARGE = 1 << 14  # elements from which threads and pooled results outweigh the call


def _served(x: Any, y: Any) -> bool:
    """Whether the core's kernels are the faster way: large, and one operand has the result's shape.

    NumPy works on one thread, and its results are fresh memory, whose first touch costs more than
    the arithmetic.
    """
    if type(x) is not np.ndarray or x.size < _LARGE:
        if type(y) is not np.ndarray or y.size < _LARGE:
            return False
    if x.dtype != y.dtype or (x.dtype is not FLOAT32 and x.dtype is not FLOAT64):
        return False
    small, large = sorted((np.shape(x), np.shape(y)), key=lambda shape: (len(shape), shape))
    return len(large) <= 8 and all(
        own in (1, whole) for own, whole in zip(small[::-1], large[::-1], strict=False)
    )


@primitive
def broadcast_to(x: Array, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(x, shape)


def _one_a_channel(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n if axis == 1 else 1 for axis, n in enumerate(shape))


@primitive
def sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Sum `x` over the axes along which something of `shape` was broadcast to it."""
    if x.shape == tuple(shape):
        return x
    lead = x.ndim - len(shape)
    if x.size >= _LARGE and x.ndim > 2 and (1,) * lead + tuple(shape) == _one_a_channel(x.shape):
        return _core.channel_sum("sum_to", x, None).reshape(shape)
    repeated = tuple(i + lead for i, n in enumerate(shape) if n == 1)
    return x.sum(axis=(*range(lead), *repeated)).reshape(shape)


broadcast_to.vjp("x")(lambda grad, x_shape: sum_to(grad, x_shape))
sum_to.vjp("x")(lambda grad, x_shape: broadcast_to(grad, x_shape))


@primitive
def add(x: Any, y: Any) -> Any:
    if _served(x, y):
        return _core.add(np.asarray(x), np.asarray(y), None)
    return np.add(x, y)


@primitive
def subtract(x: Any, y: Any) -> Any:
    if _served(x, y):
        return _core.subtract(np.asarray(x), np.asarray(y), None)
    return np.subtract(x, y)


@primitive
def multiply(x: Any, y: Any) -> Any:
    if _served(x, y):
        return _core.multiply(np.asarray(x), np.asarray(y), None)
    return np.multiply(x, y)


@primitive
def divide(x: Any, y: Any) -> Any:
    if _served(x, y):
        return _core.divide(np.asarray(x), np.asarray(y), None)
    return np.divide(x, y)


@primitive
def power(x: Any, exponent: float) -> Any:
    """`x` to the power of a number."""
    if not isinstance(exponent, (int, float, np.integer, np.floating)):
        raise TypeError(f"power: the exponent must be a number, got {type(exponent).__name__}")
    return np.asarray(x**exponent, x.dtype)


@primitive
def exp(x: Any) -> Any:
    return np.exp(x)


@primitive
def log(x: Any) -> Any:
    return np.log(x)


Primitive.add = add

add.vjp("x")(lambda grad, x_shape: sum_to(grad, x_shape))
add.vjp("y")(lambda grad, y_shape: sum_to(grad, y_shape))
subtract.vjp("x")(lambda grad, x_shape: sum_to(grad, x_shape))
subtract.vjp("y")(lambda grad, y_shape: sum_to(multiply(grad, grad.dtype.type(-1)), y_shape))
multiply.vjp("x")(lambda grad, x_shape, y: sum_to(multiply(grad, y), x_shape))
multiply.vjp("y")(lambda grad, x, y_shape: sum_to(multiply(grad, x), y_shape))
divide.vjp("x")(lambda grad, x_shape, y: sum_to(divide(grad, y), x_shape))
divide.vjp("y")(
    lambda grad, output, y, y_shape: sum_to(divide(multiply(-grad, output), y), y_shape)
)
exp.vjp("x")(lambda grad, output: multiply(grad, output))
log.vjp("x")(lambda grad, x: divide(grad, x))


@power.vjp("x")
def _(grad: Any, x: Any, exponent: float) -> Any:
    number = x.dtype.type  # NumPy 1 takes Python's numbers for float64 beside a 0-d array
    if exponent == 0:  # x ** -1 has no value at 0
        return grad * number(0)
    return grad * number(exponent) * x ** number(exponent - 1)


@primitive
def matmul(x: Array, y: Array) -> Array:
    """Matrix product over the last two axes; the leading axes broadcast."""
    if x.ndim < 2 or y.ndim < 2:
        raise ValueError(f"matmul: needs two axes or more, got shapes {x.shape} and {y.shape}")
    return np.matmul(x, y)


def _transposed(matrix: Any) -> Any:
    return transpose(matrix, (*range(matrix.ndim - 2), matrix.ndim - 1, matrix.ndim - 2))


matmul.vjp("x")(lambda grad, x_shape, y: sum_to(grad @ _transposed(y), x_shape))
matmul.vjp("y")(lambda grad, x, y_shape: sum_to(_transposed(x) @ grad, y_shape))


@primitive
def reshape(x: Array, shape: Any) -> Array:
    return x.reshape(shape)


@primitive
def transpose(x: Array, axes: Sequence[int]) -> Array:
    return x.transpose(axes)


@primitive
def getitem(x: Array, index: Any) -> Array:
    return x[index]


@primitive
def scatter(x: Array, shape: tuple[int, ...], index: Any) -> Array:
    """Zeros of `shape` with `x` added at `index`: the transpose of `getitem`."""
    result = np.zeros(shape, x.dtype)
    np.add.at(result, index, x)
    return result


reshape.vjp("x")(lambda grad, x_shape: reshape(grad, x_shape))
transpose.vjp("x")(lambda grad, axes: transpose(grad, tuple(int(i) for i in np.argsort(axes))))
getitem.vjp("x")(lambda grad, x_shape, index: scatter(grad, x_shape, index))
scatter.vjp("x")(lambda grad, index: getitem(grad, index))


@primitive
def reduce_sum(x: Array, axis: Any, keepdims: bool) -> Any:
    return x.sum(axis=axis, keepdims=keepdims)


@primitive(extra=("winner",))
def reduce_max(x: Array, axis: int) -> tuple[Array, Any]:
    """Maximum along `axis`, which is kept, and its position."""
    winner = np.expand_dims(x.argmax(axis), axis)
    return np.take_along_axis(x, winner, axis), winner


@reduce_sum.vjp("x")
def _(grad: Any, x_shape: tuple[int, ...], axis: Any) -> Any:
    axes = range(len(x_shape)) if axis is None else np.atleast_1d(axis) % len(x_shape)
    kept = tuple(1 if i in axes else n for i, n in enumerate(x_shape))
    return broadcast_to(reshape(grad, kept), x_shape)


@reduce_max.vjp("x")
def _(grad: Any, x_shape: tuple[int, ...], winner: Any, axis: int) -> Any:
    chosen = np.zeros(x_shape, grad.dtype)
    np.put_along_axis(chosen, winner, 1, axis)
    return grad * chosen


@primitive(extra=("edges",))
def _concatenate(axis: int, *parts: Array) -> tuple[Array, list[int]]:
    edges = [0, *np.cumsum([part.shape[axis] for part in parts]).tolist()]
    return np.concatenate(parts, axis), edges


@_concatenate.vjp("parts")
def _(grad: Any, axis: int, edges: list[int], position: int) -> Any:
    own = slice(edges[position], edges[position + 1])
    return grad[(slice(None),) * (axis % grad.ndim) + (own,)]


def concatenate(parts: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays or Tensors of one dtype along an axis that they have.

    `parts` are of shapes that differ in `axis` only, where the result's size is the sum of theirs.
    The gradient is cut into the same parts. Lectures 002 and 004 (Inception, DenseNet).
    """
    parts = [
        part if isinstance(part, Variable) else as_array(part, "concatenate: part")
        for part in parts
    ]
    if len({part.dtype for part in parts}) > 1:
        raise TypeError(f"concatenate: cannot mix dtypes {[str(part.dtype) for part in parts]}")
    try:
        place = operator.index(axis)
    except TypeError:
        raise TypeError(f"concatenate: axis must be an int, got {axis!r}") from None
    for part in parts:
        if not -len(part.shape) <= place < len(part.shape):
            raise ValueError(
                f"concatenate: axis {place} does not exist in a part of shape {part.shape}"
            )
    return _concatenate(place, *parts)[0]


def stack(parts: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays or Tensors of one shape and dtype along a new axis.

    ``stack(parts, axis)[..., i, ...]``, indexed in `axis`, is ``parts[i]``.
    """
    parts = [
        part if isinstance(part, Variable) else as_array(part, "stack: part") for part in parts
    ]
    place = axis % (parts[0].ndim + 1) if parts else 0
    return concatenate([reshape(p, (*p.shape[:place], 1, *p.shape[place:])) for p in parts], place)
