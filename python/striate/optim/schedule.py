"""What all schedules share, and the one-cycle schedule."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from ..ops.arguments import integer, real
from .optimizer import Optimizer


def count(schedule: Any, name: str, value: Any, least: int = 1) -> int:
    """A number of calls, for the constructor of `schedule`."""
    op = type(schedule).__name__
    number = integer(op, name, value)
    if number < least:
        rule = "be positive" if least == 1 else f"be at least {least}"
        raise ValueError(f"{op}: {name} must {rule}, got {number}")
    return number


def rate(schedule: Any, name: str, value: Any) -> float:
    """A learning rate, or what one is multiplied by, for the constructor of `schedule`."""
    op = type(schedule).__name__
    number = real(op, name, value)
    if not 0.0 <= number < math.inf:
        raise ValueError(f"{op}: {name} must be finite and not negative, got {number}")
    return number


class OfOptimizer:
    """What every schedule has: an optimiser, whose rates it reads, and a state."""

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{type(self).__name__}: optimizer must be an Optimizer, "
                f"got {type(optimizer).__name__}"
            )
        self.optimizer = optimizer

    def _take_up_groups(self) -> None:
        """Learn of groups that the optimiser has got since."""

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Numbers, words and lists of numbers."""
        self._take_up_groups()
        return {
            name: copy.deepcopy(value)
            for name, value in self.__dict__.items()
            if name != "optimizer"
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up a copy of what `state_dict` returned; the learning rates are the optimiser's.

        Raises
        ------
        ValueError
            Other names, kinds of values or lengths of lists; nothing has changed then.
        """
        own, op = self.state_dict(), type(self).__name__
        if set(state_dict) != set(own):
            raise ValueError(
                f"{op}: the saved state has {sorted(state_dict)}, needed are {sorted(own)}"
            )
        for name, value in own.items():
            self._check_saved(name, value, state_dict[name])
        self.__dict__.update(copy.deepcopy(dict(state_dict)))

    def _check_saved(self, name: str, own: Any, saved: Any) -> None:
        """Raise ValueError unless `saved` could stand where `own` does."""
        where = f"{type(self).__name__}: saved {name}"
        if isinstance(own, list):
            if not isinstance(saved, list) or len(saved) != len(own):
                raise ValueError(f"{where} must be a list of {len(own)}, got {saved!r}")
            for value, given in zip(own, saved, strict=True):
                self._check_saved(name, value, given)
        for kind, words in (
            (bool, "True or False"),
            (str, "a word"),
            (Integral, "an int that is not negative"),
            (Real, "a number"),
        ):
            if isinstance(own, kind):
                fits = isinstance(saved, kind) and isinstance(saved, bool) == (kind is bool)
                if not fits or (kind is Integral and saved < 0):
                    raise ValueError(f"{where} must be {words}, got {saved!r}")
                return


class Scheduler(OfOptimizer):
    """Base of schedules; a subclass defines `_apply`, which sets the options of every group.

    Call `step` once after each step of the optimiser (or each epoch, as the schedule is meant).
    `last_epoch` counts these calls. Groups that the optimiser gets later join at the next call:
    their rate then is their first one.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(optimizer)
        self.base_lrs = optimizer.first_lrs()
        self.last_epoch = 0

    def _apply(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} defines no _apply()")

    def _take_up_groups(self) -> None:
        self.base_lrs += self.optimizer.first_lrs()[len(self.base_lrs) :]

    def _set(self, lrs: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr

    def step(self) -> None:
        """Move on by one."""
        self._take_up_groups()
        self.last_epoch += 1
        self._apply()


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
        total_steps = count(self, "total_steps", total_steps)
        pct_start, max_lr = real("OneCycleLR", "pct_start", pct_start), rate(self, "max_lr", max_lr)
        div_factor = real("OneCycleLR", "div_factor", div_factor)
        final_div_factor = real("OneCycleLR", "final_div_factor", final_div_factor)
        base_momentum = real("OneCycleLR", "base_momentum", base_momentum)
        max_momentum = real("OneCycleLR", "max_momentum", max_momentum)
        if not 0.0 <= pct_start <= 1.0:
            raise ValueError(f"OneCycleLR: pct_start must be in [0, 1], got {pct_start}")
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
