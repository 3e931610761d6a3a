"""From arrays to shuffled mini-batches, every random choice drawn from one explicit generator.

A `DataLoader` can be stopped in the middle of an epoch and taken up again elsewhere: its state is
the epoch's permutation and seed, the cursor, and the generator.

All that an epoch draws from the generator it draws at its start: the permutation, and a seed from
which every batch has a generator of its own, by its place in the epoch. So batches can be made by
any number of threads, in any order, ahead of time, and are the same bit for bit.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Transform = Callable[[Array, np.random.Generator], Array]
"""Takes a batch (N, C, H, W) and a generator, returns a new batch; its input stays as it was."""

RNG = int | np.random.Generator | None


class Dataset(Protocol):
    """What a loader reads: a length, and a tuple of arrays for an array of indices."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any, /) -> tuple[Array, ...]: ...


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
    batch_transform
        Applied to every whole batch after that, as `batch_transform(*arrays, rng)`, and returns its
        arrays: what changes labels too, such as `mixup`.
    rng
        Seed or generator behind the permutations and the transforms. A generator is used as it is,
        not copied; None takes fresh entropy.
    num_workers
        Threads that read and transform batches ahead of the caller; 0 does it in the caller's.
        Batches, their order and the state are the same for any number. Dataset and transform are
        then called from several threads at once.
    prefetch
        How many batches each worker may be ahead.

    Raises
    ------
    TypeError, ValueError
        A batch size, number of workers or prefetch that is no such number.

    Notes
    -----
    What a worker raises is raised where its batch was due, and the workers end with the epoch, with
    an exception, and when its iterator is closed or dropped.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 64,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
        transform: Transform | None = None,
        batch_transform: Callable[..., tuple[Array, ...]] | None = None,
        rng: RNG = None,
        num_workers: int = 0,
        prefetch: int = 2,
    ) -> None:
        batch_size = _whole("batch_size", batch_size)
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size must be positive, got {batch_size}")
        self.num_workers = _whole("num_workers", num_workers)
        self.prefetch = _whole("prefetch", prefetch)
        if self.num_workers < 0 or self.prefetch < 1:
            raise ValueError(
                f"DataLoader: num_workers must not be negative and prefetch be positive, "
                f"got {num_workers}, {prefetch}"
            )
        if drop_last and len(dataset) < batch_size:
            raise ValueError(
                f"DataLoader: drop_last leaves no batch, {len(dataset)} examples are fewer than "
                f"batch_size={batch_size}"
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.transform, self.batch_transform = transform, batch_transform
        self.rng = np.random.default_rng(rng)
        self._order: npt.NDArray[np.int64] | None = None  # the running epoch's; None between epochs
        self._seed: int | None = None  # of the running epoch's batches, if they are transformed
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
            self._seed = int(self.rng.integers(2**63)) if self._draws else None
            self._cursor = 0
        self._resumed = False
        self._run += 1
        run, order, seed = self._run, self._order, self._seed
        stop = min(len(order), len(self) * self.batch_size)
        starts = range(self._cursor, stop, self.batch_size)
        ends = [min(start + self.batch_size, stop) for start in starts]
        batches = self._batches(
            [(start, order[start:end]) for start, end in zip(starts, ends, strict=True)], seed
        )
        try:
            for end, batch in zip(ends, batches, strict=True):
                # Moved before the batch is handed out: a state saved while the caller holds a
                # batch counts that batch as done.
                self._cursor = end
                yield batch
                if run != self._run:
                    raise RuntimeError(
                        "DataLoader: this iterator was superseded by a newer one over the same "
                        "loader (or by load_state_dict); use one loader for each"
                    )
        finally:
            batches.close()
        self._order = self._seed = None
        self._cursor = 0

    def _batches(
        self, places: list[tuple[int, npt.NDArray[np.int64]]], seed: int | None
    ) -> Generator[tuple[Array, ...], None, None]:
        """The batches at `places` (start, index), in order, made here or by workers ahead of us."""
        if not self.num_workers:
            for start, index in places:
                yield self._batch(start, index, seed)
            return
        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix="striate-loader")
        ahead: deque[Future[tuple[Array, ...]]] = deque()
        try:
            for start, index in places:
                ahead.append(pool.submit(self._batch, start, index, seed))
                if len(ahead) > self.num_workers * self.prefetch:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _batch(
        self, start: int, index: npt.NDArray[np.int64], seed: int | None
    ) -> tuple[Array, ...]:
        first, *others = self.dataset[index]
        if not self._draws:
            return (first, *others)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(start,)))
        if self.transform is not None:
            first = self.transform(first, rng)
        if self.batch_transform is None:
            return (first, *others)
        return tuple(self.batch_transform(first, *others, rng))

    @property
    def _draws(self) -> bool:
        return self.transform is not None or self.batch_transform is not None

    def _new_order(self) -> npt.NDArray[np.int64]:
        if self.shuffle:
            return self.rng.permutation(len(self.dataset))
        return np.arange(len(self.dataset))

    def state_dict(self) -> dict[str, Any]:
        """Permutation and seed of the running epoch (None between epochs), cursor, generator."""
        return {
            "order": None if self._order is None else self._order.copy(),
            "seed": self._seed,
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
        seed = state["seed"]
        if order is not None and seed is None and self._draws:
            raise ValueError("DataLoader: the saved epoch has no seed for the transform")
        self.rng.bit_generator.state = state["rng"]
        self._order, self._cursor, self._resumed = order, cursor, True
        self._seed = None if seed is None else int(seed)
        self._run += 1


def _whole(name: str, value: Any) -> int:
    try:
        if isinstance(value, bool):  # an int to Python, a mistake here
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"DataLoader: {name} must be a whole number, got {value!r}") from None
