"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from .. import _core
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
    amsgrad : bool
        Divide by the root of the largest v so far (Reddi, Kale and Kumar 2018).

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
        "max_exp_avg_sq": np.ndarray,
    }
    _optional_slots: ClassVar[frozenset[str]] = frozenset({"max_exp_avg_sq"})
    _decoupled = False  # whether weight decay leaves the moments alone

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
        }
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
        self, value: Array, grad: Array, state: dict[str, Any], options: Mapping[str, Any]
    ) -> None:
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(value), exp_avg_sq=np.zeros_like(value))
        if options["amsgrad"] and "max_exp_avg_sq" not in state:
            state["max_exp_avg_sq"] = np.zeros_like(value)
        step = state["step"] + 1
        beta1, beta2 = options["betas"]
        _core.adam_update(
            value,
            grad,
            state["exp_avg"],
            state["exp_avg_sq"],
            state["max_exp_avg_sq"] if options["amsgrad"] else None,
            step,
            options["lr"],
            beta1,
            beta2,
            options["eps"],
            options["weight_decay"],
            self._decoupled,
        )
        state["step"] = step


class AdamW(Adam):
    """Adam with decoupled weight decay: ``w *= 1 - lr * weight_decay`` before the step.

    Parameters as `Adam`'s. Loshchilov and Hutter 2019.
    """

    _decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad)
