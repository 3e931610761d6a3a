"""What happens beside the training loop: stopping early, clipping, logs, a bar.

A callback is told of every step and may act on the `Loop`:

    on_fit_start        once, before the first batch; a resumed loop is restored already
    on_gradients        after backward, before the optimizer's step: `.grad` may be changed
    on_batch_end        after the step
    on_epoch_end        once the epoch's record is in the history
    on_fit_end          after the last epoch, but not after an exception
    close               last of all, whatever ended the training
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import nn
from striate.data import write_atomically

from .history import EpochRecord
from .resume import check_folder

if TYPE_CHECKING:
    from .loop import Loop

_SPLITS = ("validation_", "")


class Callback:
    """Base of all callbacks; a subclass overrides what it wants to be told.

    Callbacks are called in the order in which `fit` got them. What one remembers from epoch to
    epoch goes through `state_dict` into the checkpoint.
    """

    def on_fit_start(self, loop: Loop) -> None:
        """Training begins."""

    def on_gradients(self, loop: Loop) -> None:
        """The gradients of a batch are there, the step is not taken yet."""

    def on_batch_end(self, loop: Loop) -> None:
        """A step was taken; `loop.batch` of `loop.batches` are done. Raise to stop at once."""

    def on_epoch_end(self, loop: Loop, record: EpochRecord) -> None:
        """An epoch is over; `loop.stop()` makes it the last."""

    def on_fit_end(self, loop: Loop) -> None:
        """Training is done."""

    def close(self) -> None:
        """Give back what was taken in `on_fit_start`: a terminal, a file."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know, in dicts, lists, numbers and arrays; nothing by default."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` returned."""


class EarlyStopping(Callback):
    """Stop when a number of the validation split has not become better for `patience` epochs.

    Parameters
    ----------
    monitor
        A column of the history: "validation_loss" or "validation_accuracy", or the training's own
        "loss" or "accuracy". Not the test split's: what is selected on it is no test.
    patience
        How many epochs in a row without a better one are borne; the next one ends the training.
    min_delta
        Better means better by more than this.
    restore_best
        Put the weights and buffers of the best epoch back when training ends. The checkpoint of a
        finished run has them as its model, and those of the last epoch beside them, from which a
        run of more epochs goes on.

    Attributes
    ----------
    best, best_epoch
        The best value so far and its epoch; None before the first.

    Raises
    ------
    ValueError
        For a column of the test split, or one that the run does not measure.
    FloatingPointError
        When the monitored number is not finite.
    """

    def __init__(
        self,
        monitor: str = "validation_loss",
        *,
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        _check_monitor("EarlyStopping", monitor)
        if patience < 0 or not min_delta >= 0.0:
            raise ValueError(
                "EarlyStopping: patience and min_delta must not be negative, "
                f"got {patience}, {min_delta}"
            )
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self.restore_best = restore_best
        self.best: float | None = None
        self.best_epoch: int | None = None
        self._weights: dict[str, Any] | None = None
        self._last: dict[str, Any] | None = None  # what restore_best replaced
        self._resumed = False

    def on_fit_start(self, loop: Loop) -> None:
        if not len(loop.history):  # what another training left is of another model
            self.best = self.best_epoch = self._weights = None
        going_on = not loop.stopped and len(loop.history) < loop.epochs
        if self._resumed and going_on and self._last is not None:
            loop.model.load_state_dict(self._last)
        if going_on or not self._resumed:
            self._last = None
        self._resumed = False

    def on_epoch_end(self, loop: Loop, record: EpochRecord) -> None:
        value = _monitored("EarlyStopping", self.monitor, record)
        if not math.isfinite(value):
            raise FloatingPointError(f"EarlyStopping: {self.monitor} became {value}")
        if self.best is None or self._gain(value) > self.min_delta:
            self.best, self.best_epoch = value, record.epoch
            if self.restore_best:
                self._weights = loop.model.state_dict()
        elif self.best_epoch is not None and record.epoch - self.best_epoch > self.patience:
            loop.stop()

    def _gain(self, value: float) -> float:
        assert self.best is not None
        return value - self.best if self.monitor.endswith("accuracy") else self.best - value

    def on_fit_end(self, loop: Loop) -> None:
        if self._weights is not None:
            if self._last is None:
                self._last = loop.model.state_dict()
            loop.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "weights": self._weights,
            "last": self._last,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self._weights, self._last = state["weights"], state.get("last")
        self._resumed = True


class EpochSchedule(Callback):
    """Step a learning-rate schedule after every epoch; one given to `fit` steps after every batch.

    With a `monitor` it is told that number, as ``schedule.step(metric)``. Lectures 000 and 001
    divide the rate by 10 when the validation error stops falling.

    Parameters
    ----------
    schedule
        Anything with `step`; its `state_dict`, if it has one, goes into the checkpoint.
    monitor
        None, or a column as for `EarlyStopping`.
    """

    def __init__(self, schedule: Any, monitor: str | None = None) -> None:
        if monitor is not None:
            _check_monitor("EpochSchedule", monitor)
        self.schedule, self.monitor = schedule, monitor

    def on_epoch_end(self, loop: Loop, record: EpochRecord) -> None:
        if self.monitor is None:
            self.schedule.step()
        else:
            self.schedule.step(_monitored("EpochSchedule", self.monitor, record))

    def state_dict(self) -> dict[str, Any]:
        if not hasattr(self.schedule, "state_dict"):
            return {}
        return {"schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if "schedule" in state:
            self.schedule.load_state_dict(state["schedule"])


class ClipGradients(Callback):
    """Hand the parameters to a function that clips their gradients, before every step.

    As in ``ClipGradients(lambda parameters: clip_grad_norm_(parameters, 1.0))``.
    """

    def __init__(self, clip: Callable[[Iterable[nn.Parameter]], Any]) -> None:
        self.clip = clip

    def on_gradients(self, loop: Loop) -> None:
        self.clip(loop.model.parameters())


class JsonLog(Callback):
    """A file with a line of JSON for every epoch of the history, whole at any time.

    Parameters
    ----------
    path
        Replaced after every epoch, so that a resumed run leaves the same file as one in one go.
    about
        What goes on the first line: the settings of the run, in plain values. `History.read` skips
        it.

    Raises
    ------
    TypeError
        `about` holds what JSON cannot say.
    FileNotFoundError
        As training begins: the folder of `path` is not there.

    Notes
    -----
    Numbers that are not finite are written as null: JSON has none.
    """

    def __init__(
        self, path: str | os.PathLike[str], about: Mapping[str, Any] | None = None
    ) -> None:
        self.path, self.about = path, None if about is None else dict(about)
        try:
            json.dumps(self.about)
        except (TypeError, ValueError) as error:
            raise TypeError(f"JsonLog: about must hold plain values: {error}") from None

    def on_fit_start(self, loop: Loop) -> None:
        check_folder("JsonLog", self.path)

    def on_epoch_end(self, loop: Loop, record: EpochRecord) -> None:
        lines = ([] if self.about is None else [self.about]) + loop.history.as_list()
        write_atomically(self.path, [json.dumps(_finite(line)).encode() + b"\n" for line in lines])


def _finite(value: Any) -> Any:
    """`value` with None for the numbers that JSON lacks."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _check_monitor(op: str, monitor: str) -> None:
    names = [f"{split}{quantity}" for split in _SPLITS for quantity in ("loss", "accuracy")]
    if monitor not in names:
        why = "; nothing may be chosen by the test split" if monitor.startswith("test_") else ""
        raise ValueError(f"{op}: monitor must be one of {names}, got {monitor!r}{why}")


def _monitored(op: str, monitor: str, record: EpochRecord) -> float:
    value = getattr(record, monitor)
    if value is None:
        raise ValueError(f"{op}: this run measures no {monitor}; give fit a validation loader")
    return float(np.float64(value))
