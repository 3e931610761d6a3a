"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from .. import _core
from .optimizer import Array, Optimizer


class SGD(Optimizer):
    """Gradient descent with momentum, as PyTorch's.

    ``g = grad + weight_decay * w; b = momentum * b + (1 - dampening) * g; w -= lr * b``, where b
    starts as g; with Nesterov momentum the step is along ``g + momentum * b``.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        See `Optimizer`.
    lr : float
    momentum, dampening, weight_decay : float
    nesterov : bool

    Raises
    ------
    TypeError
        What should be a number is none.
    ValueError
        Negative numbers; `nesterov` without momentum or with dampening.

    References
    ----------
    Lectures 000 and 001.
    """

    _slots: ClassVar[Mapping[str, type]] = {"momentum_buffer": np.ndarray}
    _optional_slots: ClassVar[frozenset[str]] = frozenset(_slots)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, defaults)

    def _check(self, **options: Any) -> None:
        super()._check(**options)
        if options["nesterov"] and (options["momentum"] == 0.0 or options["dampening"] != 0.0):
            raise ValueError("SGD: nesterov needs a momentum, and no dampening")

    def _update(
        self, value: Array, grad: Array, state: dict[str, Any], options: Mapping[str, Any]
    ) -> None:
        momentum = options["momentum"]
        buffer = state.get("momentum_buffer") if momentum else None
        first = buffer is None
        if momentum and first:
            buffer = np.empty_like(value)
        _core.sgd_update(
            value,
            grad,
            buffer,
            options["lr"],
            momentum,
            options["dampening"],
            options["weight_decay"],
            options["nesterov"],
            first,
        )
        if momentum:
            state["momentum_buffer"] = buffer
