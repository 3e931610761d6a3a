"""Whole Jacobians, for study: backward needs none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .tape import is_recording
from .tensor import Tensor, grad


def jacobian(fn: Callable[..., Tensor], inputs: Any) -> Any:
    """The derivative of every element of ``fn(*inputs)`` with respect to every element of `inputs`.

    ``J[i_1, ..., i_M, j_1, ..., j_N] = d y[i_1, ..., i_M] / d x[j_1, ..., j_N]``: the shape of the
    output, then that of the input. In these terms the chain rule of z = g(y), y = h(x) is a sum
    over the indices of y,

        ``jacobian(f, x) == numpy.tensordot(jacobian(g, y), jacobian(h, x), axes=y.ndim)``

    and `backward` evaluates it from the left, for a z without axes: each step multiplies one
    gradient, of the shape of its variable, by a Jacobian that is never formed.

    Parameters
    ----------
    fn : callable
        Takes Tensors, returns one Tensor.
    inputs : array_like or Tensor, or a sequence of them
        What `fn` is called with; a list counts as several inputs.

    Returns
    -------
    ndarray, or a tuple of them for a sequence
        Of shape ``(*output.shape, *input.shape)``; zeros where the output does not depend on the
        input. The backward pass runs once for each element of the output.

    Raises
    ------
    TypeError
        `fn` returns no Tensor.
    RuntimeError
        Inside `no_grad`, where nothing is recorded.

    References
    ----------
    Lecture 004 (gradient tensors and the tensor chain rule).
    """
    several = isinstance(inputs, Sequence)
    leaves = [
        Tensor(value.data if isinstance(value, Tensor) else value, requires_grad=True)
        for value in (inputs if several else [inputs])
    ]
    if leaves and not is_recording(*leaves):
        raise RuntimeError("jacobian: nothing is recorded inside no_grad(); call it outside")
    output = fn(*leaves)
    if not isinstance(output, Tensor):
        raise TypeError(f"jacobian: fn must return a Tensor, got {type(output).__name__}")
    found = [np.zeros((*output.shape, *leaf.shape), output.dtype) for leaf in leaves]
    if output.requires_grad:  # else nothing depends on the inputs
        for index in np.ndindex(output.shape):
            seed = np.zeros(output.shape, output.dtype)
            seed[index] = 1
            parts = grad(output, leaves, seed, retain_graph=True)
            for whole, part in zip(found, parts, strict=True):
                if part is not None:
                    whole[index] = part
    return tuple(found) if several else found[0]
