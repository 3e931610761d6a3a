"""The proof of a gradient rule: central differences in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arrays import FLOAT64
from .tensor import Tensor, grad


def gradcheck(
    fn: Callable[..., Tensor],
    inputs: Sequence[Any],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
) -> bool:
    """Compare the recorded gradients of ``fn(*inputs)`` with central differences.

    Parameters
    ----------
    fn : callable
        Takes `inputs`, returns one Tensor. Called once for the graph and twice for each element.
    inputs : sequence
        The float64 Tensors that require grad are checked; they may also be parameters of a layer
        that `fn` calls. They are changed in place meanwhile, and restored.
    eps : float
        Half the width of the difference.
    atol, rtol : float
        Bound of |recorded - numerical| is ``atol + rtol * |numerical|``.

    Raises
    ------
    AssertionError
        Naming the worst element.
    """
    variables = [(i, x) for i, x in enumerate(inputs) if getattr(x, "requires_grad", False)]
    if not variables or any(x.dtype != FLOAT64 for _, x in variables):
        raise ValueError("gradcheck: give Tensors of float64 with requires_grad=True")
    output = fn(*inputs)
    recorded = [np.zeros((x.size, output.size)) for _, x in variables]
    for k in range(output.size):
        seed = np.zeros(output.shape)
        seed.reshape(-1)[k] = 1.0
        parts = grad(output, [x for _, x in variables], seed, retain_graph=True)
        for jacobian, part in zip(recorded, parts, strict=True):
            jacobian[:, k] = 0.0 if part is None else part.reshape(-1)
    for (place, x), jacobian in zip(variables, recorded, strict=True):
        numerical = np.empty_like(jacobian)
        for k, index in enumerate(np.ndindex(x.shape)):
            value = x.data[index]
            sides = []
            for shifted in (value + eps, value - eps):
                with x.writing() as data:
                    data[index] = shifted
                sides.append(fn(*inputs).numpy().reshape(-1).copy())
            with x.writing() as data:
                data[index] = value
            numerical[k] = (sides[0] - sides[1]) / (2 * eps)
        excess = np.abs(jacobian - numerical) - (atol + rtol * np.abs(numerical))
        if excess.size and not excess.max() <= 0:
            row, column = np.unravel_index(np.nanargmax(excess), excess.shape)
            into, out_of = [*np.ndindex(x.shape)][row], [*np.ndindex(output.shape)][column]
            raise AssertionError(
                f"gradcheck: input {place}: d output[{out_of}] / d input[{into}] is "
                f"{jacobian[row, column]:.9g} as recorded, {numerical[row, column]:.9g} by "
                "central differences"
            )
    return True
