"""Gradients that are kept from being too large, between backward and step.

What is changed is `grad` of each parameter: a new array, as others may hold the old one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..autograd import Tensor
from ..nn import Parameter
from ..ops.arguments import real
from .optimizer import Array


def _gradients(
    op: str, parameters: Parameter | Iterable[Parameter]
) -> list[tuple[Parameter, Array]]:
    if not isinstance(parameters, Iterable | Parameter):
        raise TypeError(
            f"{op}: parameters must be an iterable of Parameter, or one, "
            f"got {type(parameters).__name__}"
        )
    members = [parameters] if isinstance(parameters, Parameter) else list(parameters)
    for parameter in members:
        if not isinstance(parameter, Tensor):
            raise TypeError(f"{op}: {type(parameter).__name__} is not a Parameter")
    return [(parameter, parameter.grad) for parameter in members if parameter.grad is not None]


def clip_grad_norm_(
    parameters: Parameter | Iterable[Parameter],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients by ``max_norm / (norm + 1e-6)`` where their common norm is larger.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    max_norm : float
    norm_type : float
        Of the norm of all elements together; `math.inf` for the largest.
    error_if_nonfinite : bool
        Whether a norm of infinity or NaN is an error. Else it scales: by 0, or to NaN.

    Returns
    -------
    float
        The norm before, summed in float64.

    Raises
    ------
    ValueError
        A norm_type or max_norm that is not positive.
    RuntimeError
        A norm that is not finite, if asked for; nothing has changed then.

    References
    ----------
    Pascanu, Mikolov and Bengio 2013.
    """
    max_norm = real("clip_grad_norm_", "max_norm", max_norm)
    norm_type = real("clip_grad_norm_", "norm_type", norm_type)
    if not norm_type > 0 or not max_norm > 0:
        raise ValueError(
            f"clip_grad_norm_: max_norm and norm_type must be positive, got {max_norm}, {norm_type}"
        )
    members = _gradients("clip_grad_norm_", parameters)
    if norm_type == math.inf:
        total = max((float(np.abs(grad).max(initial=0)) for _, grad in members), default=0.0)
        if any(np.isnan(grad).any() for _, grad in members):  # max may pass over them
            total = math.nan
    else:
        powers = [
            np.abs(np.asarray(grad, np.float64)) ** norm_type
            if norm_type != 2
            else np.square(grad, dtype=np.float64)
            for _, grad in members
        ]
        total = float(sum(float(power.sum()) for power in powers)) ** (1.0 / norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {total}")
    factor = max_norm / (total + 1e-6)
    if not factor >= 1.0:  # NaN too
        for parameter, grad in members:
            parameter.grad = np.asarray(grad * grad.dtype.type(factor))
    return total


def clip_grad_value_(parameters: Parameter | Iterable[Parameter], clip_value: float) -> None:
    """Bring every element of the gradients into ``[-clip_value, clip_value]``; a NaN stays.

    Raises
    ------
    ValueError
        A clip_value that is not positive.
    """
    clip_value = real("clip_grad_value_", "clip_value", clip_value)
    if not clip_value > 0:
        raise ValueError(f"clip_grad_value_: clip_value must be positive, got {clip_value}")
    for parameter, grad in _gradients("clip_grad_value_", parameters):
        parameter.grad = np.asarray(np.clip(grad, -clip_value, clip_value))
