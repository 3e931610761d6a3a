"""The training loop: forward, backward, step; nothing that a reader would not write by hand."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from striate import nn
from striate.autograd import no_grad
from striate.data import DataLoader

from .history import EpochRecord, Evaluation, History


def fit(
    model: nn.Module,
    train: DataLoader,
    test: DataLoader | None = None,
    *,
    epochs: int,
    optimizer: Any,
    schedule: Any = None,
    loss: Callable[[Any, Any], Any] | None = None,
    history: History | None = None,
    on_batch: Callable[[int, int], None] | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> History:
    """Train `model` in place until the history counts `epochs` epochs.

    Parameters
    ----------
    model
        Maps a batch of inputs to class scores (N, classes).
    train
        Loader of (inputs, int64 labels); shuffling and augmentation are its business, and its rng
        is the only source of randomness here.
    test
        Evaluated after each epoch, for the record only: nothing is chosen by it.
    epochs
        Epochs in total, those already in `history` included.
    optimizer
        From `striate.optim`; stepped once a batch.
    schedule
        Learning-rate schedule, stepped once a batch after the optimizer; None keeps the rate.
    loss
        Maps (scores, labels) to a scalar Tensor; mean cross-entropy by default.
    history
        Records of an interrupted run to continue; a fresh one by default.
    on_batch
        Called as `on_batch(batch, batches)` after each step, counting from 1. Raise to stop.
    on_epoch
        Called with the epoch's record once it is in the history: the place to save a checkpoint.

    Returns
    -------
    History

    Raises
    ------
    FloatingPointError
        The loss is no longer finite; the step that would have spread it is not taken.
    """
    loss = nn.CrossEntropyLoss() if loss is None else loss
    history = History() if history is None else history
    for epoch in range(len(history) + 1, epochs + 1):
        started = time.perf_counter()
        model.train()
        total_loss, correct, seen = 0.0, 0, 0
        for batch, (inputs, labels) in enumerate(train, start=1):
            scores = model(inputs)
            value = loss(scores, labels)
            batch_loss = value.item()
            if not math.isfinite(batch_loss):
                raise FloatingPointError(
                    f"the loss became {batch_loss} in epoch {epoch}, batch {batch}: "
                    "try a lower learning rate"
                )
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
            total_loss += batch_loss * len(labels)
            correct += int((scores.numpy().argmax(axis=1) == labels).sum())
            seen += len(labels)
            if on_batch is not None:
                on_batch(batch, len(train))

        tested = None if test is None else evaluate(model, test, loss=loss)
        record = EpochRecord(
            epoch=epoch,
            loss=total_loss / max(seen, 1),
            accuracy=correct / max(seen, 1),
            test_loss=None if tested is None else tested.loss,
            test_accuracy=None if tested is None else tested.accuracy,
            seconds=time.perf_counter() - started,
        )
        history.epochs.append(record)
        if on_epoch is not None:
            on_epoch(record)
    return history


def evaluate(
    model: nn.Module, loader: DataLoader, *, loss: Callable[[Any, Any], Any] | None = None
) -> Evaluation:
    """Loss, accuracy and confusion matrix of `model` over one pass of `loader`.

    The model is in evaluation mode meanwhile and then back in the mode it was in.

    Raises
    ------
    ValueError
        The loader is empty.
    """
    loss = nn.CrossEntropyLoss() if loss is None else loss
    training = model.training
    model.eval()
    total_loss, seen = 0.0, 0
    confusion = np.zeros((0, 0), dtype=np.int64)
    try:
        with no_grad():
            for inputs, labels in loader:
                scores = model(inputs)
                total_loss += float(loss(scores, labels).item()) * len(labels)
                seen += len(labels)
                batch = confusion_matrix(labels, scores.numpy().argmax(axis=1), scores.shape[1])
                confusion = batch if confusion.size == 0 else confusion + batch
    finally:
        model.train(training)
    if not seen:
        raise ValueError("evaluate: the loader has no examples")
    return Evaluation(total_loss / seen, float(np.trace(confusion)) / seen, confusion)


def confusion_matrix(
    true: np.ndarray[Any, Any], predicted: np.ndarray[Any, Any], classes: int
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Count (true, predicted) pairs: int64 (classes, classes), row the true class."""
    pairs = np.bincount(true * classes + predicted, minlength=classes * classes)
    return pairs.reshape(classes, classes).astype(np.int64, copy=False)
