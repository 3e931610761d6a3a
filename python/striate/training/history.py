"""What training leaves behind besides the weights: numbers, one record an epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


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
    """

    loss: float
    accuracy: float
    confusion: npt.NDArray[np.int64]


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: means over the training batches as they passed, then the test set if there was
    one.

    `loss` and `accuracy` are taken while the weights change and the images are augmented, so they
    may well look worse than `test_loss` and `test_accuracy`.
    """

    epoch: int
    loss: float
    accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    seconds: float


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
