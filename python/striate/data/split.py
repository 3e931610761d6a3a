"""Training, validation and test parts of a dataset, and cross-validation; all from a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .loader import RNG, Array, Dataset

Indices = npt.NDArray[np.int64]


class Subset:
    """Some examples of a dataset, in a given order."""

    def __init__(self, dataset: Dataset, indices: npt.ArrayLike) -> None:
        found = np.asarray(indices)
        if found.ndim != 1 or (found.size and not np.issubdtype(found.dtype, np.integer)):
            raise TypeError("Subset: indices must be a list of integers")
        if found.size and not (0 <= found.min() and found.max() < len(dataset)):
            raise ValueError(
                f"Subset: indices must lie in 0..{len(dataset) - 1}, "
                f"got {found.min()}..{found.max()}"
            )
        self.dataset = dataset
        self.indices: Indices = found.astype(np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> tuple[Array, ...]:
        return self.dataset[self.indices[index]]

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {self.dataset!r})"


def random_split(
    dataset: Dataset,
    fractions: Sequence[float],
    *,
    stratify: npt.ArrayLike | None = None,
    rng: RNG = None,
) -> tuple[Subset, ...]:
    """Parts of a dataset without an example in common, such as (0.8, 0.1, 0.1).

    Parameters
    ----------
    dataset
        Anything with a length that can be indexed by an array.
    fractions
        Of the examples, one a part; they add up to 1. Sizes are rounded so that they add up too.
    stratify
        A label an example: every class is divided in these fractions. What rounding leaves over in
        a class goes to the parts that lack most, so that the parts keep their sizes.
    rng
        Seed or generator.

    Raises
    ------
    ValueError
        Fractions that are negative or do not add up to 1, labels of another number or NaN.
    """
    shares = np.asarray(fractions, np.float64)
    if (
        shares.ndim != 1
        or not len(shares)
        or not ((shares >= 0).all() and abs(shares.sum() - 1) <= 1e-9)
    ):
        raise ValueError(
            f"random_split: fractions must not be negative and add up to 1, got {fractions}"
        )
    rng = np.random.default_rng(rng)
    parts: list[list[Indices]] = [[] for _ in shares]
    owed = np.zeros(len(shares))  # what each part should have of the classes so far, and has not
    for group in _groups("random_split", dataset, stratify):
        owed += shares * len(group)
        sizes = np.floor(shares * len(group) + 1e-9).astype(np.int64)
        lacking = np.argsort(-(owed - sizes).round(9), kind="stable")
        sizes[lacking[: len(group) - sizes.sum()]] += 1
        owed -= sizes
        pieces = np.split(rng.permutation(group), np.cumsum(sizes)[:-1])
        for part, piece in zip(parts, pieces, strict=True):
            part.append(piece)
    return tuple(Subset(dataset, rng.permutation(np.concatenate(part))) for part in parts)


def k_folds(
    dataset: Dataset, k: int, *, stratify: npt.ArrayLike | None = None, rng: RNG = None
) -> Iterator[tuple[Subset, Subset]]:
    """(training, validation) for each of `k` folds; every example validates exactly once.

    Parameters and errors as for `random_split`; `k` lies in 2..len(dataset). Sizes of folds differ
    by at most one, and so does their number of examples of a class where `stratify` is given.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"k_folds: k must be an int, got {k!r}")
    if not 2 <= k <= len(dataset):
        raise ValueError(f"k_folds: k must lie in 2..{len(dataset)}, got {k}")
    rng = np.random.default_rng(rng)
    groups = _groups("k_folds", dataset, stratify)
    # Dealt like cards, class after class, so that no fold gets all of the remainders.
    order = np.concatenate([rng.permutation(group) for group in groups])
    fold = np.arange(len(order)) % k
    # All drawn here: a generator that others draw from meanwhile gives the same folds.
    training = [rng.permutation(order[fold != i]) for i in range(k)]
    return (
        (Subset(dataset, training[i]), Subset(dataset, np.sort(order[fold == i]))) for i in range(k)
    )


def _groups(name: str, dataset: Dataset, stratify: npt.ArrayLike | None) -> list[Indices]:
    """The examples of each class, or all of them as one."""
    if stratify is None or (not len(dataset) and not np.size(stratify)):
        return [np.arange(len(dataset))]
    labels = np.asarray(stratify)
    if labels.shape != (len(dataset),):
        raise ValueError(
            f"{name}: stratify must hold {len(dataset)} labels, got shape {labels.shape}"
        )
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError(f"{name}: stratify must not hold NaN")
    return [np.flatnonzero(labels == value) for value in np.unique(labels)]
