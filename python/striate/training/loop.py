"""The training loop: forward, backward, step; nothing that a reader would not write by hand."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from striate import nn
from striate.data import DataLoader

from .callbacks import Callback
from .history import EpochRecord, History
from .metrics import count_correct, predictions
from .resume import CheckpointFile, load_generators, save_generators

Count = Callable[..., float]


def fit(
    model: nn.Module,
    train: DataLoader,
    test: DataLoader | None = None,
    *,
    epochs: int,
    optimizer: Any,
    schedule: Any = None,
    loss: Callable[..., Any] | None = None,
    count: Count | None = count_correct,
    validation: DataLoader | None = None,
    history: History | None = None,
    callbacks: Iterable[Callback] = (),
    checkpoint: CheckpointFile | None = None,
) -> History:
    """Train `model` in place until the history counts `epochs` epochs.

    Parameters
    ----------
    model
        Maps a batch of inputs to outputs, such as class scores (N, classes).
    train
        Loader of (inputs, *targets); shuffling and augmentation are its business. Its rng and
        those of the model's dropout layers are the only sources of randomness here.
    test
        Evaluated after each epoch, for the record only: nothing is chosen by it.
    epochs
        Epochs in total, those already in `history` included.
    optimizer
        From `striate.optim`; stepped once a batch.
    schedule
        Learning-rate schedule, stepped once a batch after the optimizer; None keeps the rate.
    loss
        Maps (outputs, *targets) to a scalar Tensor, a mean over the batch; cross-entropy by
        default.
    count
        Maps (outputs, *targets) to the number of examples that are right, for the accuracy; None
        where nothing is right or wrong, as in regression.
    validation
        Evaluated after each epoch like `test`: the split that callbacks may decide by.
    history
        Records of earlier epochs to continue; a fresh one by default.
    callbacks
        Told of every step, in this order; see `Callback`.
    checkpoint
        File that is kept up to date, and from which an interrupted run goes on. After the last
        epoch it holds the model that this call leaves.

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError
        A number of epochs that is none; a loader without examples.
    FloatingPointError
        The loss is no longer finite; the step that would have spread it is not taken.
    CheckpointError
        The checkpoint is damaged, or of another run.
    """
    if isinstance(epochs, bool):
        raise TypeError(f"fit: epochs must be an int, got {epochs}")
    try:
        epochs = operator.index(epochs)
    except TypeError:
        raise TypeError(f"fit: epochs must be an int, got {epochs!r}") from None
    if epochs < 0:
        raise ValueError(f"fit: epochs must not be negative, got {epochs}")
    for name, loader in (("training", train), ("validation", validation), ("test", test)):
        if loader is not None and not len(loader):
            raise ValueError(f"fit: the {name} loader has no examples")
    loop = Loop(
        model,
        optimizer,
        train,
        schedule=schedule,
        validation=validation,
        test=test,
        epochs=epochs,
        loss=nn.CrossEntropyLoss() if loss is None else loss,
        count=count,
        history=History() if history is None else history,
        callbacks=tuple(callbacks),
    )
    if checkpoint is not None:
        checkpoint.restore(loop)
    with ExitStack() as stack:
        for callback in loop.callbacks:
            stack.callback(callback.close)
            callback.on_fit_start(loop)
        while not loop.stopped and len(loop.history) < epochs:
            loop.run_epoch(checkpoint)
            if checkpoint is not None:
                checkpoint.save(loop)
        for callback in loop.callbacks:
            callback.on_fit_end(loop)
        if checkpoint is not None:
            checkpoint.save(loop)  # again: on_fit_end may have put other weights into the model
    return loop.history


class Loop:
    """A training run in progress: what callbacks see and what a checkpoint holds.

    Attributes
    ----------
    model, optimizer, schedule, train, validation, test, history, epochs
        As `fit` got them.
    batch, batches
        Finished batches of the running epoch, and how many an epoch has.
    stopped
        Whether a callback has ended the training.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Any,
        train: DataLoader,
        *,
        schedule: Any,
        validation: DataLoader | None,
        test: DataLoader | None,
        epochs: int,
        loss: Callable[..., Any],
        count: Count | None,
        history: History,
        callbacks: tuple[Callback, ...],
    ) -> None:
        self.model, self.optimizer, self.schedule = model, optimizer, schedule
        self.train, self.validation, self.test = train, validation, test
        self.epochs, self.history, self.callbacks = epochs, history, callbacks
        self.stopped = False
        self._loss, self._count = loss, count
        self._seconds = 0.0  # of the running epoch, those of runs before this one included
        self._new_epoch()

    @property
    def epoch(self) -> int:
        """The running epoch, from 1."""
        return len(self.history) + 1

    @property
    def batches(self) -> int:
        return len(self.train)

    def stop(self) -> None:
        """Let the running epoch be the last."""
        self.stopped = True

    def run_epoch(self, checkpoint: CheckpointFile | None = None) -> None:
        """What is left of the running epoch."""
        before = self._seconds
        started = time.perf_counter()
        self.model.train()
        for inputs, *targets in self.train:
            self._step(inputs, targets)
            self._seconds = before + time.perf_counter() - started
            for callback in self.callbacks:
                callback.on_batch_end(self)
            if checkpoint is not None and checkpoint.is_due(self.batch):
                checkpoint.save(self)
        validated, tested = self._assess(self.validation), self._assess(self.test)
        record = EpochRecord(
            epoch=self.epoch,
            loss=self._total_loss / max(self._seen, 1),
            accuracy=None if self._count is None else self._correct / max(self._seen, 1),
            test_loss=tested[0],
            test_accuracy=tested[1],
            seconds=before + time.perf_counter() - started,
            validation_loss=validated[0],
            validation_accuracy=validated[1],
        )
        self.history.epochs.append(record)
        self._new_epoch()
        for callback in self.callbacks:
            callback.on_epoch_end(self, record)

    def _new_epoch(self) -> None:
        self.batch = 0
        self._total_loss, self._correct, self._seen, self._seconds = 0.0, 0.0, 0, 0.0

    def _step(self, inputs: Any, targets: list[Any]) -> None:
        outputs = self.model(inputs)
        value = self._loss(outputs, *targets)
        batch_loss = value.item()
        if not math.isfinite(batch_loss):
            raise FloatingPointError(
                f"the loss became {batch_loss} in epoch {self.epoch}, batch {self.batch + 1}: "
                "try a lower learning rate"
            )
        self.optimizer.zero_grad()
        value.backward()
        for callback in self.callbacks:
            callback.on_gradients(self)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        self.batch += 1
        self._total_loss += batch_loss * len(inputs)
        self._seen += len(inputs)
        if self._count is not None:
            self._correct += self._count(outputs, *targets)

    def _assess(self, loader: DataLoader | None) -> tuple[float | None, float | None]:
        """(mean loss, accuracy) of one pass of `loader`."""
        if loader is None:
            return None, None
        total, correct, seen = 0.0, 0.0, 0
        for outputs, targets in predictions(self.model, loader):
            examples = len(targets[0])
            total += float(self._loss(outputs, *targets).item()) * examples
            seen += examples
            if self._count is not None:
                correct += self._count(outputs, *targets)
        if not seen:
            raise ValueError("fit: the validation or test loader has no examples")
        return total / seen, None if self._count is None else correct / seen

    # ---- state -----------------------------------------------------------------------------------

    def _loaders(self) -> Iterator[tuple[str, DataLoader]]:
        for name in ("train", "validation", "test"):
            loader = getattr(self, name)
            if loader is not None:
                yield name, loader

    def _stateful_callbacks(self) -> list[Callback]:
        """Those that say what they remember, even while that is nothing."""
        return [each for each in self.callbacks if type(each).state_dict != Callback.state_dict]

    def state_dict(self) -> dict[str, Any]:
        """All but the weights: optimizer, schedule, order and cursor, generators, sums, history."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "batch_size": self.train.batch_size,
            "loaders": {name: loader.state_dict() for name, loader in self._loaders()},
            "generators": save_generators(self.model),
            "running": {
                "batch": self.batch,
                "total_loss": self._total_loss,
                "correct": self._correct,
                "seen": self._seen,
                "seconds": self._seconds,
            },
            "history": self.history.as_list(),
            "stopped": self.stopped,
            "callbacks": [
                {"name": type(callback).__name__, "state": callback.state_dict()}
                for callback in self._stateful_callbacks()
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` returned, for a loop put together in the same way.

        Raises
        ------
        ValueError
            The parts differ: another optimizer, batch size, set of loaders or of callbacks.
        """
        loaders = dict(self._loaders())
        stateful = self._stateful_callbacks()
        for what, saved, own in (
            ("batch_size", state["batch_size"], self.train.batch_size),
            ("loaders", sorted(state["loaders"]), sorted(loaders)),
            ("a schedule", state["schedule"] is not None, self.schedule is not None),
            (
                "callbacks",
                [entry["name"] for entry in state["callbacks"]],
                [type(callback).__name__ for callback in stateful],
            ),
        ):
            if saved != own:
                raise ValueError(f"it was saved with {what} {saved}, this run has {own}")
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        load_generators(self.model, state["generators"])
        for name, loader in loaders.items():
            loader.load_state_dict(state["loaders"][name])
        for callback, entry in zip(stateful, state["callbacks"], strict=True):
            callback.load_state_dict(entry["state"])
        running = state["running"]
        self.batch, self._seen = int(running["batch"]), int(running["seen"])
        self._total_loss, self._correct = float(running["total_loss"]), float(running["correct"])
        self._seconds = float(running["seconds"])
        self.history.epochs[:] = History.from_list(state["history"]).epochs
        self.stopped = bool(state["stopped"])
