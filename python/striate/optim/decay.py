"""Schedules that multiply each group's first learning rate by a number of the call."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from .optimizer import Optimizer
from .schedule import Scheduler, count, rate


class DecaySchedule(Scheduler):
    """Base: a subclass defines `_factor`, of the call's number and the group's first rate."""

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(optimizer)
        self._apply()

    def _factor(self, call: int, base: float) -> float:
        raise NotImplementedError(f"{type(self).__name__} defines no _factor()")

    def factors(self, call: int) -> list[float]:
        """What the first learning rate of each group is multiplied by at a call."""
        self._take_up_groups()
        return [self._factor(call, base) for base in self.base_lrs]

    def _apply(self) -> None:
        factors = self.factors(self.last_epoch)
        self._set([base * f for base, f in zip(self.base_lrs, factors, strict=True)])


class StepLR(DecaySchedule):
    """``lr = lr0 * gamma ** (calls // step_size)``. Source: lectures 000 and 001 (divide by 10)."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = count(self, "step_size", step_size)
        self.gamma = rate(self, "gamma", gamma)
        super().__init__(optimizer)

    def _factor(self, call: int, base: float) -> float:
        return float(self.gamma ** (call // self.step_size))


class MultiStepLR(DecaySchedule):
    """``lr = lr0 * gamma ** (number of milestones reached)``. Source: lectures 000 and 001."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        calls = (count(self, "each milestone", call, least=0) for call in milestones)
        self.milestones, self.gamma = sorted(calls), rate(self, "gamma", gamma)
        super().__init__(optimizer)

    def _factor(self, call: int, base: float) -> float:
        return float(self.gamma ** bisect_right(self.milestones, call))


class ExponentialLR(DecaySchedule):
    """``lr = lr0 * gamma ** calls``."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = rate(self, "gamma", gamma)
        super().__init__(optimizer)

    def _factor(self, call: int, base: float) -> float:
        return float(self.gamma**call)


class LinearLR(DecaySchedule):
    """From ``lr0 * start_factor`` to ``lr0 * end_factor`` in `total_iters` calls: a warm-up."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3.0,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        if not 0.0 < start_factor <= 1.0 or not 0.0 <= end_factor <= 1.0 or total_iters < 1:
            raise ValueError(
                "LinearLR: start_factor must be in (0, 1], end_factor in [0, 1], total_iters "
                f"positive, got {start_factor}, {end_factor}, {total_iters}"
            )
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def _factor(self, call: int, base: float) -> float:
        done = min(call, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done


class ConstantLR(DecaySchedule):
    """``lr0 * factor`` for `total_iters` calls, then ``lr0``.

    With ``total_iters=0`` it is ``lr0`` from the start; PyTorch's is ``lr0 * factor`` for good.
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3.0, total_iters: int = 5
    ) -> None:
        if not 0.0 <= factor <= 1.0:
            raise ValueError(f"ConstantLR: factor must be in [0, 1], got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer)

    def _factor(self, call: int, base: float) -> float:
        return self.factor if call < self.total_iters else 1.0


def _between(base: float, eta_min: float, done: float) -> float:
    """From `base` to `eta_min` along half a cosine, as a factor of `base`."""
    lr = eta_min + (base - eta_min) * (1.0 + math.cos(math.pi * done)) / 2.0
    return lr / base if base else 0.0


class CosineAnnealingLR(DecaySchedule):
    """Half a cosine from ``lr0`` to `eta_min` in `T_max` calls, and back after them.

    Loshchilov and Hutter 2017, without restarts. A first rate of 0 stays 0, as it is multiplied;
    PyTorch's rises to `eta_min`.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max must be positive, got {T_max}")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def _factor(self, call: int, base: float) -> float:
        return _between(base, self.eta_min, call / self.T_max)


class CosineAnnealingWarmRestarts(DecaySchedule):
    """Half cosines from ``lr0`` to `eta_min`, of T_0 calls, then T_0 * T_mult, and so on.

    Loshchilov and Hutter 2017.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0
    ) -> None:
        if T_0 < 1 or T_mult < 1:
            raise ValueError(
                f"CosineAnnealingWarmRestarts: T_0 and T_mult must be positive, got {T_0}, {T_mult}"
            )
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer)

    def _factor(self, call: int, base: float) -> float:
        length = self.T_0
        while call >= length and self.T_mult > 1:
            call, length = call - length, length * self.T_mult
        return _between(base, self.eta_min, (call % length) / length)
