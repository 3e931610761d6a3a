"""Schedules made of schedules: one after another, or all at once."""

from __future__ import annotations

import copy
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from .decay import DecaySchedule
from .optimizer import Optimizer
from .schedule import Scheduler, count


class _Composite(Scheduler):
    """Holds schedules of one optimiser, whose states are part of its own."""

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[DecaySchedule]) -> None:
        name = type(self).__name__
        if not schedulers:
            raise ValueError(f"{name}: there are no schedulers")
        for scheduler in schedulers:
            if not isinstance(scheduler, DecaySchedule):
                raise TypeError(
                    f"{name}: {type(scheduler).__name__} does not multiply a learning rate"
                )
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"{name}: all schedulers must be of one optimizer")
        super().__init__(optimizer)
        self._schedulers = list(schedulers)
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        self._take_up_groups()
        plain = {k: v for k, v in self.__dict__.items() if k not in ("optimizer", "_schedulers")}
        states = [scheduler.state_dict() for scheduler in self._schedulers]
        return {**copy.deepcopy(plain), "_schedulers": states}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        schedulers = self._schedulers
        saved = state_dict.get("_schedulers", [])
        if len(saved) != len(schedulers):
            raise ValueError(
                f"{type(self).__name__}: the saved state has {len(saved)} schedulers, "
                f"there are {len(schedulers)}"
            )
        before = [scheduler.state_dict() for scheduler in schedulers]
        try:
            for scheduler, state in zip(schedulers, saved, strict=True):
                scheduler.load_state_dict(state)
            super().load_state_dict(state_dict)
        except ValueError:
            for scheduler, state in zip(schedulers, before, strict=True):
                scheduler.load_state_dict(state)
            raise
        self._schedulers = schedulers


class SequentialLR(_Composite):
    """One schedule up to each milestone, then the next, which begins with its own call 0.

    A warm-up: ``SequentialLR(optimizer, [LinearLR(optimizer), CosineAnnealingLR(optimizer, 95)],
    [5])``.

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : sequence
        Of this optimiser; those of this module that multiply the first learning rate.
    milestones : sequence of int
        Increasing, one less than schedulers: the call from which on the next one rules.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[DecaySchedule],
        milestones: Sequence[int],
    ) -> None:
        self.milestones = [count(self, "each milestone", call) for call in milestones]
        increasing = all(
            a < b for a, b in zip([0, *self.milestones], self.milestones, strict=False)
        )
        if len(self.milestones) != len(schedulers) - 1 or not increasing:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedulers need one increasing milestone less, "
                f"got {list(milestones)}"
            )
        super().__init__(optimizer, schedulers)

    def _apply(self) -> None:
        at = bisect_right(self.milestones, self.last_epoch)
        scheduler = self._schedulers[at]
        scheduler.last_epoch = self.last_epoch - (self.milestones[at - 1] if at else 0)
        scheduler._apply()


class ChainedScheduler(_Composite):
    """The factors of several schedules, multiplied.

    Parameters
    ----------
    schedulers : sequence
        Of one optimiser; those of this module that multiply the first learning rate.
    """

    def __init__(
        self, schedulers: Sequence[DecaySchedule], optimizer: Optimizer | None = None
    ) -> None:
        if not schedulers:
            raise ValueError("ChainedScheduler: there are no schedulers")
        super().__init__(schedulers[0].optimizer if optimizer is None else optimizer, schedulers)

    def _apply(self) -> None:
        for scheduler in self._schedulers:
            scheduler.last_epoch = self.last_epoch
        factors = zip(*[s.factors(self.last_epoch) for s in self._schedulers], strict=True)
        self._set([b * math.prod(f) for b, f in zip(self.base_lrs, factors, strict=True)])
