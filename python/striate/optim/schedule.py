"""What all schedules share, and the one-cycle schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .optimizer import Optimizer


class Scheduler:
    """Base of schedules; a subclass defines `_apply`, which sets the options of every group.

    Call `step` once after each step of the optimiser (or each epoch, as the schedule is meant).
    `last_epoch` counts these calls.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base_lrs = optimizer.first_lrs()
        self.last_epoch = 0

    def _apply(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} defines no _apply()")

    def _set(self, lrs: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr

    def step(self) -> None:
        """Move on by one."""
        self.last_epoch += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The schedule's numbers and lists of numbers."""
        return {
            name: list(value) if isinstance(value, list) else value
            for name, value in self.__dict__.items()
            if name != "optimizer"
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up what `state_dict` returned; the optimiser's options come with the optimiser's."""
        own = set(self.state_dict())
        if set(state_dict) != own:
            raise ValueError(
                f"{type(self).__name__}: the saved state has {sorted(state_dict)}, "
                f"needed are {sorted(own)}"
            )
        self.__dict__.update(state_dict)


class OneCycleLR(Scheduler):
    """Up to a high learning rate, then down to almost none, momentum against it (Smith 2018).

    PyTorch's formula with cosine annealing: from ``max_lr / div_factor`` to ``max_lr`` in the first
    ``pct_start * total_steps - 1`` calls, then to ``max_lr / div_factor / final_div_factor`` at
    call ``total_steps - 1``; momentum (or the first beta) from max_momentum to base_momentum and
    back.

    Parameters
    ----------
    optimizer : Optimizer
        Its learning rate is set at once.
    max_lr : float
    total_steps : int
        Steps of the optimiser in the whole training; one call of `step` after each. The call
        after the last step changes nothing.
    pct_start : float
        In [0, 1].
    div_factor, final_div_factor : float
    cycle_momentum : bool
        Ignored for an optimiser without momentum.
    base_momentum, max_momentum : float

    Raises
    ------
    ValueError
        Numbers out of range; too many calls of `step`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
    ) -> None:
        if total_steps < 1 or not 0.0 <= pct_start <= 1.0:
            raise ValueError(
                "OneCycleLR: total_steps must be positive and pct_start in [0, 1], "
                f"got {total_steps}, {pct_start}"
            )
        if not (div_factor > 0.0 and final_div_factor > 0.0):
            raise ValueError(
                "OneCycleLR: div_factor and final_div_factor must be positive, "
                f"got {div_factor}, {final_div_factor}"
            )
        super().__init__(optimizer)
        self.total_steps, self.pct_start, self.max_lr = total_steps, pct_start, max_lr
        self.initial_lr = max_lr / div_factor
        self.min_lr = self.initial_lr / final_div_factor
        self.cycle_momentum = cycle_momentum
        self.base_momentum, self.max_momentum = base_momentum, max_momentum
        self._apply()

    def _apply(self) -> None:
        call, last = self.last_epoch, self.total_steps - 1
        if call > self.total_steps:
            raise ValueError(f"OneCycleLR: step() beyond the {self.total_steps} total_steps")
        peak = self.pct_start * self.total_steps - 1.0
        if call <= peak:
            done = call / peak if peak > 0.0 else 1.0
            lr = _cosine(self.initial_lr, self.max_lr, done)
            momentum = _cosine(self.max_momentum, self.base_momentum, done)
        else:
            done = min((call - peak) / (last - peak), 1.0) if last > peak else 1.0
            lr = _cosine(self.max_lr, self.min_lr, done)
            momentum = _cosine(self.base_momentum, self.max_momentum, done)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
            if self.cycle_momentum and "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            elif self.cycle_momentum and group.get("momentum"):
                group["momentum"] = momentum


def _cosine(start: float, end: float, done: float) -> float:
    """From `start` to `end` along half a cosine."""
    return end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1.0)
