"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from .optimizer import Array, Optimizer


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba 2015), as PyTorch's.

    ``m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
    w -= lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)`` at step t, with
    ``g = grad + weight_decay * w``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        See `Optimizer`.
    lr : float
    betas : (float, float)
    eps, weight_decay : float

    Raises
    ------
    TypeError
        What should be a number is none.
    ValueError
        Negative numbers; betas outside [0, 1).

    References
    ----------
    Lecture 004.
    """

    _slots: ClassVar[Mapping[str, type]] = {
        "step": int,
        "exp_avg": np.ndarray,
        "exp_avg_sq": np.ndarray,
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def _check(self, **options: Any) -> None:
        super()._check(**options)
        betas = options["betas"]
        message = f"{type(self).__name__}: betas must be two numbers in [0, 1), got {betas!r}"
        if not isinstance(betas, Iterable) or not all(isinstance(beta, Real) for beta in betas):
            raise TypeError(message)
        if len(options["betas"]) != 2 or not all(0.0 <= beta < 1.0 for beta in betas):
            raise ValueError(message)

    def _update(
        self,
        value: Array,
        grad: Array,
        scratch: Array,
        state: dict[str, Any],
        options: Mapping[str, Any],
    ) -> None:
        if options["weight_decay"]:
            grad = grad + options["weight_decay"] * value
        self._descend(value, grad, scratch, state, options)

    @staticmethod
    def _descend(
        value: Array,
        grad: Array,
        scratch: Array,
        state: dict[str, Any],
        options: Mapping[str, Any],
    ) -> None:
        """The step along `grad`, without weight decay."""
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(value), exp_avg_sq=np.zeros_like(value))
        state["step"] += 1
        first, second = options["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean *= first
        mean += np.multiply(grad, 1.0 - first, out=scratch)
        square *= second
        np.multiply(grad, grad, out=scratch)
        scratch *= 1.0 - second
        square += scratch
        np.sqrt(square, out=scratch)
        scratch /= (1.0 - second ** state["step"]) ** 0.5
        scratch += options["eps"]
        np.divide(mean, scratch, out=scratch)
        scratch *= options["lr"] / (1.0 - first ** state["step"])
        value -= scratch


class AdamW(Adam):
    """Adam with decoupled weight decay: ``w *= 1 - lr * weight_decay`` before the step.

    Parameters as `Adam`'s. Loshchilov and Hutter 2019.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def _update(
        self,
        value: Array,
        grad: Array,
        scratch: Array,
        state: dict[str, Any],
        options: Mapping[str, Any],
    ) -> None:
        value *= 1.0 - options["lr"] * options["weight_decay"]
        self._descend(value, grad, scratch, state, options)
