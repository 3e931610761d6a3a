"""The `Tensor`: an array with the operators of NumPy, whose results can be differentiated."""

# A primitive returns what it is given, arrays or Tensors, which no annotation can follow.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from . import arithmetic
from .arrays import as_array
from .tape import Primitive, Variable, gradients

if TYPE_CHECKING:
    from .arrays import Array


class Tensor(Variable):
    """A float32 or float64 array that records what is computed from it.

    Parameters
    ----------
    data : array_like
        Shared where it is a float32 or float64 array already, converted otherwise.
    requires_grad : bool
        Whether `backward` should leave a gradient in `.grad` (an ndarray of the same shape).
    """

    __slots__ = ()
    __array_ufunc__ = None  # `array * tensor` is the tensor's business

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self._data = as_array(data._data if isinstance(data, Tensor) else data, "Tensor: data")
        self._node = None
        shared = isinstance(data, Tensor) and np.may_share_memory(self._data, data._data)
        self._version = data._version if shared else [0, 0]
        self.grad = None
        self.requires_grad = requires_grad

    @property
    def data(self) -> Array:
        """The array itself. To change it, use `assign` or `writing`, which the tape notices."""
        return self._data

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return self._data.size

    def numpy(self) -> Array:
        """The array, without a record; it shares memory with the tensor."""
        return self._data

    def detach(self) -> Tensor:
        """A tensor on the same memory that records nothing."""
        tensor: Tensor = Tensor._wrap(self._data)
        tensor._version = self._version
        return tensor

    def item(self) -> float:
        """The value of a tensor with one element."""
        return float(self._data.item())

    def backward(self, grad: Any = None, *, retain_graph: bool = False) -> None:
        """Add the gradient of this result to `.grad` of every leaf it was computed from.

        Parameters
        ----------
        grad : array_like of this shape, optional
            The gradient of the final result with respect to this one; 1 for a scalar.
        retain_graph : bool
            Keep the graph, for another `backward` through it.

        Raises
        ------
        ValueError
            If this is not a scalar and `grad` is missing, or `grad` has another shape or dtype.
        RuntimeError
            If nothing was recorded, the graph was freed, or a saved tensor was changed in place.
        """
        seed = _seed(self, grad)
        for leaf, part in gradients(self, seed, None, retain_graph).items():
            leaf.grad = part if leaf.grad is None else np.asarray(leaf.grad + part)

    @contextmanager
    def writing(self) -> Iterator[Array]:
        """The data, to be changed in place inside a ``with`` block; the one way to do so.

        Neither the array nor views of it may be written to once the block has ended.
        """
        if self._node is not None:
            raise RuntimeError(f"a result of {self._node.op} cannot be changed in place: detach it")
        self._version[0] += 1
        self._version[1] += 1
        try:
            yield self._data
        finally:
            self._version[1] -= 1

    def assign(self, value: Any) -> None:
        """Overwrite the data with `value`, which must broadcast to its shape."""
        value = value._data if isinstance(value, Tensor) else value
        with self.writing() as data:
            np.copyto(data, value, casting="same_kind")

    def packed_weights(self) -> Any:
        """Where kernels may keep forms they made of the data: nowhere, others may write to it."""
        return None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.requires_grad:
            raise TypeError("a tensor that requires grad is not an array: use .numpy()")
        return np.array(self._data, dtype) if copy else np.asarray(self._data, dtype)

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise ValueError(
                f"Tensor: only one element has a truth value, this one has shape {self.shape}"
            )
        return bool(self._data.item())

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        body = np.array2string(self._data, separator=", ", prefix="Tensor(")
        made = f", made by {self._node.op}" if self._node else ""
        needs = ", requires_grad=True" if self.requires_grad and not made else ""
        return f"Tensor({body}, dtype={self.dtype}{needs}{made})"

    def __add__(self, other: Any) -> Tensor:
        return arithmetic.add(self, self._peer(other))

    def __sub__(self, other: Any) -> Tensor:
        return arithmetic.subtract(self, self._peer(other))

    def __rsub__(self, other: Any) -> Tensor:
        return arithmetic.subtract(self._peer(other), self)

    def __mul__(self, other: Any) -> Tensor:
        return arithmetic.multiply(self, self._peer(other))

    def __truediv__(self, other: Any) -> Tensor:
        return arithmetic.divide(self, self._peer(other))

    def __rtruediv__(self, other: Any) -> Tensor:
        return arithmetic.divide(self._peer(other), self)

    def __matmul__(self, other: Any) -> Tensor:
        return arithmetic.matmul(self, self._peer(other))

    def __rmatmul__(self, other: Any) -> Tensor:
        return arithmetic.matmul(self._peer(other), self)

    def __pow__(self, exponent: float) -> Tensor:
        return arithmetic.power(self, exponent)

    def __neg__(self) -> Tensor:
        return self * -1.0

    def __getitem__(self, index: Any) -> Tensor:
        return arithmetic.getitem(self, index)

    __radd__ = __add__
    __rmul__ = __mul__

    def _peer(self, other: Any) -> Any:
        """`other` as the second operand: a number or an array, of this dtype."""
        if isinstance(other, (int, float, np.integer, np.floating)):
            return self.dtype.type(other)
        other = other if isinstance(other, Tensor) else as_array(other, "Tensor: operand")
        if other.dtype != self.dtype:
            raise TypeError(f"Tensor: cannot mix {self.dtype} and {other.dtype} operands")
        return other

    def reshape(self, *shape: Any) -> Tensor:
        return arithmetic.reshape(
            self, shape[0] if len(shape) == 1 and np.iterable(shape[0]) else shape
        )

    def transpose(self, *axes: Any) -> Tensor:
        order = axes[0] if len(axes) == 1 and np.iterable(axes[0]) else axes
        order = tuple(axis % self.ndim for axis in order) or tuple(reversed(range(self.ndim)))
        return arithmetic.transpose(self, order)

    permute = transpose

    @property
    def T(self) -> Tensor:
        return self.transpose()

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return arithmetic.reduce_sum(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        total = arithmetic.reduce_sum(self, axis, keepdims)
        return total / (self.size // max(total.size, 1))

    def max(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """The largest element along `axis`; of equal ones the first receives the gradient."""
        if axis is None:
            largest, _ = arithmetic.reduce_max(self.reshape(-1), 0)
            return largest.reshape((1,) * self.ndim if keepdims else ())
        largest, _ = arithmetic.reduce_max(self, axis)
        return largest if keepdims else largest.reshape(np.delete(self.shape, axis).tolist())

    def exp(self) -> Tensor:
        return arithmetic.exp(self)

    def log(self) -> Tensor:
        return arithmetic.log(self)


Primitive.result = Tensor


def _seed(output: Tensor, grad: Any) -> Array:
    if grad is None:
        if output._data.size != 1:
            raise ValueError(
                f"backward: the result has shape {output.shape}, only a scalar has a gradient; "
                "reduce it (sum, mean) or give grad=, an array of that shape"
            )
        return np.ones(output.shape, output.dtype)
    seed = as_array(grad._data if isinstance(grad, Tensor) else grad, "backward: grad")
    if seed.shape != output.shape or seed.dtype != output.dtype:
        raise ValueError(
            f"backward: grad is {seed.dtype} {seed.shape}, the result is {output.dtype} "
            f"{output.shape}"
        )
    seed = seed.view()
    seed.flags.writeable = False  # so a gradient that shares its memory is copied
    return seed


def grad(
    output: Tensor,
    inputs: Sequence[Tensor],
    grad_output: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> list[Any]:
    """Gradients of `output` for `inputs`, intermediate results included, without touching `.grad`.

    Parameters
    ----------
    output : Tensor
    inputs : sequence of Tensor
        Only what lies between `output` and these is computed.
    grad_output : array of `output`'s shape, optional
        May be left out where `output` has one element.
    retain_graph : bool, optional
        Keep the graph for another call; by default as `create_graph`.
    create_graph : bool
        Record the gradients too, so that they can be differentiated again.

    Returns
    -------
    list
        For each input an ndarray (a Tensor with `create_graph`), or None where `output` does not
        depend on it.
    """
    targets = [tensor._node or tensor for tensor in inputs]
    seed: Any = _seed(output, grad_output)
    if create_graph:
        # What is recorded outlives this call, and its caller may change the array.
        seed = grad_output if isinstance(grad_output, Tensor) else Tensor(np.copy(seed))
    retain = create_graph if retain_graph is None else retain_graph
    found = gradients(output, seed, targets, retain, create_graph)
    return [found.get(target) for target in targets]
