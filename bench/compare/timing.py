"""Times of several callables that share a machine: A B A B, then each alone.

    round 1   | A: lead-in, samples | B: lead-in, samples | ...
    round 2   | ...                                  B | A |      (in reverse)

A block begins with an untimed call (unless calls are long), which brings the caches and threads of
its side back; a sample of a very short call is the mean of several. The fastest sample counts, as
other programs can only make one slower; the median tells how quiet the machine was.

After the rounds every callable runs alone. Threads of one library that wait in a loop for work slow
the other one down, and this shows as a ratio of the sides that changes between the two.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

ROUNDS = 3
SHORT = 100e-6  # a sample lasts at least this many seconds
SETTLE = 0.02  # waiting threads have gone to sleep after this


@dataclass(frozen=True)
class Timing:
    """Seconds a call: fastest and median of the interleaved samples, fastest alone."""

    best: float
    median: float
    alone: float

    @property
    def spread(self) -> float:
        return self.median / self.best

    def as_dict(self) -> dict[str, float]:
        return {name: float(f"{value:.5g}") for name, value in vars(self).items()}


def compare(
    calls: Mapping[str, Callable[[], Any]], seconds: float, settle: bool
) -> dict[str, Timing]:
    """Time all `calls` within about `seconds` (more if a call is long).

    `settle`: sleep before every block until the threads of the side before sleep. For libraries
    with thread pools of their own; those that share an OpenMP runtime do without.
    """
    with _no_garbage_collection():
        series = [Series(call) for call in calls.values()]
        share = seconds / len(series) / (ROUNDS + 1)
        for i in range(ROUNDS):
            for one in series if i % 2 == 0 else reversed(series):
                one.samples += one.block(share, settle)
        alone = [min(one.block(share, True)) for one in series]
    return {
        name: Timing(min(one.samples), median(one.samples), least)
        for name, one, least in zip(calls, series, alone, strict=True)
    }


class Series:
    """One callable and its samples."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.samples: list[float] = []
        first = self._sample(1)
        self.estimate = first if first > 0.05 else min(self._sample(1) for _ in range(3))
        self.repeats = max(1, round(SHORT / self.estimate))

    def block(self, seconds: float, settle: bool) -> list[float]:
        if settle:
            time.sleep(SETTLE)
        if self.estimate < seconds / 3:
            self.call()
        count = max(1, int(seconds / (self.estimate * self.repeats)))
        return [self._sample(self.repeats) for _ in range(count)]

    def _sample(self, repeats: int) -> float:
        call = self.call
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - start) / repeats


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
