"""What training leaves behind besides the weights: numbers, one record an epoch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: means over the training batches as they passed, then the splits that were given.

    `loss` and `accuracy` are taken while the weights change and the images are augmented, so they
    may well look worse than those of the other splits. What was not measured is None.
    """

    epoch: int
    loss: float
    accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    seconds: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None


@dataclass
class History:
    """The records of a training run, oldest first."""

    epochs: list[EpochRecord] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.epochs)

    def column(self, name: str) -> list[Any]:
        """One attribute of every record, as in `history.column("loss")`."""
        return [getattr(record, name) for record in self.epochs]

    def as_list(self) -> list[dict[str, Any]]:
        """Plain dicts, ready for JSON."""
        return [asdict(record) for record in self.epochs]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> History:
        """The records in a file that `JsonLog` wrote."""
        lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
        needed = {"epoch", "loss", "seconds"}  # settings may have some of a record's names
        return cls.from_list(line for line in lines if needed <= line.keys())

    @classmethod
    def from_list(cls, records: Iterable[Mapping[str, Any]]) -> History:
        """What `as_list` came from."""
        return cls([EpochRecord(**record) for record in records])
