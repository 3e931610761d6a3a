"""Adagrad and RMSprop: steps scaled by the gradients that each weight has seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from .. import _core
from .optimizer import Array, Optimizer


class Adagrad(Optimizer):
    """Every weight's step shrinks with the sum of its squared gradients, as PyTorch's.

    ``v += g^2; w -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(v) + eps)`` at step t, with
    ``g = grad + weight_decay * w``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        See `Optimizer`.
    lr, lr_decay, weight_decay : float
    initial_accumulator_value : float
        Where v begins.
    eps : float

    Raises
    ------
    TypeError
        What should be a number is none.
    ValueError
        Negative numbers.

    References
    ----------
    Lecture 004; Duchi, Hazan and Singer 2011.
    """

    _slots: ClassVar[Mapping[str, type]] = {"step": int, "sum": np.ndarray}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
        }
        super().__init__(params, defaults)

    def _update(
        self, value: Array, grad: Array, state: dict[str, Any], options: Mapping[str, Any]
    ) -> None:
        if not state:
            start = options["initial_accumulator_value"]
            state.update(step=0, sum=np.full_like(value, start))
        rate = options["lr"] / (1.0 + state["step"] * options["lr_decay"])
        _core.adagrad_update(
            value, grad, state["sum"], rate, options["eps"], options["weight_decay"]
        )
        state["step"] += 1


class RMSprop(Optimizer):
    """Every weight's step is scaled by the recent size of its gradients, as PyTorch's.

    ``v = alpha * v + (1 - alpha) * g^2; u = g / (sqrt(v) + eps); b = momentum * b + u;
    w -= lr * b``, with ``g = grad + weight_decay * w``. Centred, the mean of g, squared, is taken
    from v.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        See `Optimizer`.
    lr, alpha, eps, weight_decay, momentum : float
    centered : bool

    Raises
    ------
    TypeError
        What should be a number is none.
    ValueError
        Negative numbers; alpha above 1.

    References
    ----------
    Lecture 004; Tieleman and Hinton 2012, Graves 2013 (centred).
    """

    _slots: ClassVar[Mapping[str, type]] = {
        "square_avg": np.ndarray,
        "grad_avg": np.ndarray,
        "momentum_buffer": np.ndarray,
    }
    _optional_slots: ClassVar[frozenset[str]] = frozenset({"grad_avg", "momentum_buffer"})

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    def _check(self, **options: Any) -> None:
        super()._check(**options)
        if options["alpha"] > 1.0:
            raise ValueError(f"RMSprop: alpha must be in [0, 1], got {options['alpha']}")

    def _update(
        self, value: Array, grad: Array, state: dict[str, Any], options: Mapping[str, Any]
    ) -> None:
        needed = ["square_avg"]
        needed += ["grad_avg"] if options["centered"] else []
        needed += ["momentum_buffer"] if options["momentum"] else []
        for slot in needed:
            if slot not in state:
                state[slot] = np.zeros_like(value)
        _core.rmsprop_update(
            value,
            grad,
            state["square_avg"],
            state["grad_avg"] if options["centered"] else None,
            state["momentum_buffer"] if options["momentum"] else None,
            options["lr"],
            options["alpha"],
            options["eps"],
            options["weight_decay"],
            options["momentum"],
        )
