"""The learning rate falls when the loss does not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .optimizer import Optimizer


class ReduceLROnPlateau:
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
        if not 0.0 <= factor < 1.0:
            raise ValueError(f"ReduceLROnPlateau: factor must be in [0, 1), got {factor}")
        groups = len(optimizer.param_groups)
        self.min_lrs = (
            [float(min_lr)] * groups
            if isinstance(min_lr, (int, float))
            else [float(lr) for lr in min_lr]
        )
        if len(self.min_lrs) != groups:
            raise ValueError(
                f"ReduceLROnPlateau: {len(self.min_lrs)} min_lr for {groups} parameter groups"
            )
        self.optimizer = optimizer
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

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

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Numbers, words and lists of numbers."""
        return {
            name: list(value) if isinstance(value, list) else value
            for name, value in self.__dict__.items()
            if name != "optimizer"
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up what `state_dict` returned; the learning rates come with the optimiser's."""
        own = set(self.state_dict())
        if set(state_dict) != own:
            raise ValueError(
                f"ReduceLROnPlateau: the saved state has {sorted(state_dict)}, "
                f"needed are {sorted(own)}"
            )
        self.__dict__.update(state_dict)
