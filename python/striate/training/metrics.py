"""How good a model is: loss, accuracy, top-k accuracy, confusion, precision and recall."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from striate import nn
from striate.autograd import no_grad

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Evaluation:
    """How a model did on a whole dataset.

    Attributes
    ----------
    loss
        Mean loss an example.
    accuracy
        Fraction of examples whose highest score is that of their class, 0..1.
    confusion
        int64 (classes, classes): row the true class, column the predicted one, entry how many.
    top_k
        For each k asked for, the fraction of examples whose class is among the k highest scores.
    """

    loss: float
    accuracy: float
    confusion: npt.NDArray[np.int64]
    top_k: dict[int, float] = field(default_factory=dict)

    @property
    def precision(self) -> npt.NDArray[np.float64]:
        """For each class, the fraction of right ones among those predicted as it."""
        return precision(self.confusion)

    @property
    def recall(self) -> npt.NDArray[np.float64]:
        """For each class, the fraction that was found of those that are it."""
        return recall(self.confusion)


def evaluate(
    model: nn.Module,
    loader: Iterable[tuple[Array, ...]],
    *,
    loss: Callable[[Any, Any], Any] | None = None,
    top_k: Iterable[int] = (),
) -> Evaluation:
    """Loss, accuracy and confusion matrix of a classifier over one pass of `loader`.

    The model is in evaluation mode meanwhile and then back in the mode it was in.

    Parameters
    ----------
    model
        Maps inputs to class scores (N, classes).
    loader
        Yields (inputs, labels), whole numbers of any type.
    loss
        Mean cross-entropy by default.
    top_k
        Numbers k for which the top-k accuracy is wanted, such as (1, 5).

    Raises
    ------
    TypeError
        Labels or a k that are no whole numbers.
    ValueError
        The loader is empty, a label is not in 0..classes - 1, or a k not in 1..classes.
    """
    loss = nn.CrossEntropyLoss() if loss is None else loss
    total_loss, seen = 0.0, 0
    confusion = np.zeros((0, 0), dtype=np.int64)
    within = dict.fromkeys(top_k, 0)
    for scores, (given,) in predictions(model, loader):
        labels = _class_numbers("evaluate: labels", given, scores.shape[1])
        total_loss += float(loss(scores, labels).item()) * len(labels)
        seen += len(labels)
        batch = confusion_matrix(labels, scores.numpy().argmax(axis=1), scores.shape[1])
        confusion = batch if confusion.size == 0 else confusion + batch
        for k in within:
            within[k] += top_k_correct(scores.numpy(), labels, k)
    if not seen:
        raise ValueError("evaluate: the loader has no examples")
    return Evaluation(
        total_loss / seen,
        float(np.trace(confusion)) / seen,
        confusion,
        {k: count / seen for k, count in within.items()},
    )


def predictions(
    model: nn.Module, loader: Iterable[tuple[Array, ...]]
) -> Iterator[tuple[Any, list[Array]]]:
    """(outputs, targets) for every batch of (inputs, *targets), without a record of gradients.

    The model is in evaluation mode for each call and then back in the mode it was in.
    """
    for inputs, *targets in loader:
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        try:
            with no_grad():
                outputs = model(inputs)
        finally:
            for module, mode in modes:
                module.training = mode
        yield outputs, targets


def count_correct(scores: Any, labels: Array) -> float:
    """How many examples have their highest score at their class.

    Labels may also be probabilities (N, classes), of which the largest counts. With labels
    (N, spatial...) every example counts as the fraction of its places that are right.
    """
    if labels.dtype.kind == "f":
        labels = labels.argmax(axis=1)
    right = scores.numpy().argmax(axis=1) == labels
    return float(right.reshape(len(labels), -1).mean(axis=1).sum())


def top_k_correct(scores: Array, labels: Array, k: int) -> int:
    """How many examples have their class among the `k` highest of their scores (N, classes).

    Of equal scores the lower class comes first, as it does for `argmax`. A class whose own score is
    NaN is not among the highest.

    Raises
    ------
    TypeError
        `k` or the labels are no whole numbers.
    ValueError
        `k` is not in 1..classes, or a label not in 0..classes - 1.

    References
    ----------
    Lecture 002 (ImageNet's top-5).
    """
    try:
        if isinstance(k, bool):  # an int to Python, a mistake here
            raise TypeError
        k = operator.index(k)
    except TypeError:
        raise TypeError(f"top_k_correct: k must be an int, got {k!r}") from None
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"top_k_correct: k must be in 1..{scores.shape[1]} classes, got {k}")
    labels = _class_numbers("top_k_correct: labels", labels, scores.shape[1])
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    classes = np.arange(scores.shape[1])
    # Not `scores > own`, by which nothing would be ahead of a NaN.
    ahead = ~(scores <= own) | ((scores == own) & (classes < labels[:, None]))
    return int((ahead.sum(axis=1) < k).sum())


def confusion_matrix(true: Array, predicted: Array, classes: int) -> npt.NDArray[np.int64]:
    """Count (true, predicted) pairs: int64 (classes, classes), row the true class.

    Raises
    ------
    TypeError, ValueError
        Classes that are no whole numbers, or not in 0..classes - 1.
    """
    true = _class_numbers("confusion_matrix: true classes", true, classes)
    predicted = _class_numbers("confusion_matrix: predicted classes", predicted, classes)
    pairs = np.bincount(true * classes + predicted, minlength=classes * classes)
    return pairs.reshape(classes, classes).astype(np.int64, copy=False)


def precision(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Right ones among those predicted as each class; NaN where nothing was taken for it."""
    return _share(np.diagonal(confusion), confusion.sum(axis=0))


def recall(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Right ones among those that are of each class; NaN where it has no examples."""
    return _share(np.diagonal(confusion), confusion.sum(axis=1))


def _class_numbers(what: str, values: Array, classes: int) -> npt.NDArray[np.int64]:
    """`values` as int64, in which class * classes has room."""
    values = np.asarray(values)
    if values.size and values.dtype.kind not in "iu":
        raise TypeError(f"{what} must be whole numbers, got {values.dtype}")
    if values.size and not 0 <= values.min() <= values.max() < classes:
        raise ValueError(f"{what} must lie in 0..{classes - 1}, got {values.min()}..{values.max()}")
    return values.astype(np.int64)


def _share(part: Array, whole: Array) -> npt.NDArray[np.float64]:
    share = np.full(len(whole), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share
