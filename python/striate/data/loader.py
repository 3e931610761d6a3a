"""From arrays to shuffled mini-batches, every random choice drawn from one explicit generator.

A `DataLoader` can be stopped in the middle of an epoch and taken up again elsewhere: its state is
the epoch's permutation, the cursor in it, and the generator.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Transform = Callable[[Array, np.random.Generator], Array]
"""Takes a batch (N, C, H, W) and a generator, returns a new batch; its input stays as it was."""

RNG = int | np.random.Generator | None


class ArrayDataset:
    """Arrays of equal length that are indexed together, such as images and labels.

    `dataset[index]` is a tuple of `array[index]`, one entry an array; the index may be anything
    NumPy takes, so an integer array picks a whole batch at once.
    """

    def __init__(self, *arrays: Array) -> None:
        if not arrays:
            raise ValueError("ArrayDataset: at least one array is needed")
        for array in arrays:
            if not isinstance(array, np.ndarray):
                raise TypeError(f"ArrayDataset: needs arrays, got {type(array).__name__}")
        lengths = [len(array) for array in arrays]
        if len(set(lengths)) > 1:
            raise ValueError(f"ArrayDataset: arrays must have equal length, got {lengths}")
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[Array, ...]:
        return tuple(array[index] for array in self.arrays)

    def __repr__(self) -> str:
        parts = ", ".join(f"{array.dtype}{list(array.shape)}" for array in self.arrays)
        return f"ArrayDataset({parts})"


class DataLoader:
    """Mini-batches of a dataset; each `for` over the loader is one epoch.

    There is one running epoch, the one that `state_dict` describes: starting another ends it, and
    going on with its iterator raises RuntimeError. Epochs side by side take a loader each.

    Parameters
    ----------
    dataset
        Where the batches come from.
    batch_size
        Examples a batch; the last batch of an epoch may be smaller.
    shuffle
        Draw a new permutation for every epoch; otherwise keep the dataset's order.
    drop_last
        Leave out a last batch that is smaller than `batch_size`.
    transform
        Applied to the first array of every batch (the images): augmentation, normalisation.
    rng
        Seed or generator behind the permutations and the transform. A generator is used as it is,
        not copied; None takes fresh entropy.
    """

    def __init__(
        self,
        dataset: ArrayDataset,
        batch_size: int = 64,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
        transform: Transform | None = None,
        rng: RNG = None,
    ) -> None:
        try:
            if isinstance(batch_size, bool):  # an int to Python, a mistake here
                raise TypeError
            batch_size = operator.index(batch_size)
        except TypeError:
            raise TypeError(
                f"DataLoader: batch_size must be a whole number, got {batch_size!r}"
            ) from None
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size must be positive, got {batch_size}")
        if drop_last and len(dataset) < batch_size:
            raise ValueError(
                f"DataLoader: drop_last leaves no batch, {len(dataset)} examples are fewer than "
                f"batch_size={batch_size}"
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.transform = transform
        self.rng = np.random.default_rng(rng)
        self._order: npt.NDArray[np.int64] | None = None  # the running epoch's; None between epochs
        self._cursor = 0
        self._resumed = False
        self._run = 0  # which iterator may move the cursor: the one started last

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        if not (self._resumed and self._order is not None):
            self._order = self._new_order()
            self._cursor = 0
        self._resumed = False
        self._run += 1
        run = self._run
        order = self._order
        stop = min(len(order), len(self) * self.batch_size)
        while self._cursor < stop:
            index = order[self._cursor : min(self._cursor + self.batch_size, stop)]
            # Moved before the batch is handed out: a state saved while the caller holds a batch
            # counts that batch as done, its random draws included.
            self._cursor += len(index)
            first, *others = self.dataset[index]
            if self.transform is not None:
                first = self.transform(first, self.rng)
            yield (first, *others)
            if run != self._run:
                raise RuntimeError(
                    "DataLoader: this iterator was superseded by a newer one over the same loader "
                    "(or by load_state_dict); use one loader for each"
                )
        self._order = None
        self._cursor = 0

    def _new_order(self) -> npt.NDArray[np.int64]:
        if self.shuffle:
            return self.rng.permutation(len(self.dataset))
        return np.arange(len(self.dataset))

    def state_dict(self) -> dict[str, Any]:
        """Permutation of the running epoch (None between epochs), cursor, generator's state."""
        return {
            "order": None if self._order is None else self._order.copy(),
            "cursor": self._cursor,
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state: the next `for` yields what was left of that epoch, bit for bit."""
        order = state["order"]
        if order is not None:
            order = np.array(order, dtype=np.int64)
            if not np.array_equal(np.sort(order), np.arange(len(self.dataset))):
                raise ValueError(
                    f"DataLoader: the saved order is no permutation of {len(self.dataset)} examples"
                )
        cursor = int(state["cursor"])
        if not 0 <= cursor <= (0 if order is None else len(order)):
            raise ValueError(f"DataLoader: the saved cursor {cursor} lies outside the epoch")
        self.rng.bit_generator.state = state["rng"]
        self._order, self._cursor, self._resumed = order, cursor, True
        self._run += 1
