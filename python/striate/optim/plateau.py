"""The learning rate falls when the loss does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .optimizer import Optimizer
from .schedule import OfOptimizer, count, rate


class ReduceLROnPlateau(OfOptimizer):
    """Multiply the learning rate by `factor` after `patience` calls without improvement.

    As PyTorch's; with factor 0.1 the recipe of AlexNet, VGG and ResNet: "divided by 10 when the
    validation error plateaus".

    Parameters
    ----------
    optimizer : Optimizer
    mode : {"min", "max"}
        Whether the metric should fall or rise.
    factor : float
        Below 1.
    patience : int
        Calls without improvement that are borne.
    threshold : float
    threshold_mode : {"rel", "abs"}
        Better is better by ``threshold * best``, or by `threshold`.
    cooldown : int
        Calls after a reduction in which bad ones are not counted.
    min_lr : float or sequence of float, one a group
        Groups that the optimiser gets later have it too, if it is the same for all.
    eps : float
        Changes of less are not made.

    Raises
    ------
    ValueError
        Another mode; a factor of 1 or more; as many min_lr as there are not groups.

    References
    ----------
    Lectures 000 and 001.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(
                "ReduceLROnPlateau: mode must be 'min' or 'max' and threshold_mode 'rel' or 'abs', "
                f"got {mode!r}, {threshold_mode!r}"
            )
        super().__init__(optimizer)
        factor = rate(self, "factor", factor)
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau: factor must be in [0, 1), got {factor}")
        groups = len(optimizer.param_groups)
        several = np.iterable(min_lr) and not isinstance(min_lr, (str, bytes))
        given: Any = min_lr if several else [min_lr] * groups
        self.min_lrs = [rate(self, "min_lr", lr) for lr in given]
        if len(self.min_lrs) != groups:
            raise ValueError(
                f"ReduceLROnPlateau: {len(self.min_lrs)} min_lr for {groups} parameter groups"
            )
        self.mode, self.factor = mode, factor
        self.patience = count(self, "patience", patience, least=0)
        self.threshold, self.threshold_mode = rate(self, "threshold", threshold), threshold_mode
        self.cooldown = count(self, "cooldown", cooldown, least=0)
        self.eps = rate(self, "eps", eps)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def _take_up_groups(self) -> None:
        groups = len(self.optimizer.param_groups)
        if len(self.min_lrs) < groups and len(set(self.min_lrs)) > 1:
            raise ValueError(
                f"ReduceLROnPlateau: {len(self.min_lrs)} min_lr for {groups} parameter groups"
            )
        self.min_lrs += self.min_lrs[:1] * (groups - len(self.min_lrs))

    def _is_better(self, metric: float) -> bool:
        sign = 1.0 if self.mode == "max" else -1.0
        if self.threshold_mode == "abs":
            return sign * metric > sign * self.best + self.threshold
        if math.isinf(self.best):
            return sign * metric > sign * self.best
        return sign * metric > sign * self.best * (1.0 + sign * self.threshold)

    def step(self, metrics: Any) -> None:
        """Report the metric of an epoch: a number, or a Tensor with one element."""
        metric = float(metrics.item() if hasattr(metrics, "item") else metrics)
        self._take_up_groups()
        self.last_epoch += 1
        if self._is_better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lowered = max(group["lr"] * self.factor, least)
                if group["lr"] - lowered > self.eps:
                    group["lr"] = lowered
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
