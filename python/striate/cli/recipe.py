"""Trainings that are whole: network, augmentation, optimizer, schedule, checkpoints.

The weights of the last epoch are the result, whatever the curve looked like on the way: the test
images are looked at after every epoch, but nothing is selected on them. The numbers below were
chosen on 5,000 other images, from the full training split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from striate.data import (
    FASHION_MNIST_CLASSES,
    FASHION_MNIST_NORMALIZE,
    ArrayDataset,
    Compose,
    DataLoader,
    RandomHorizontalFlip,
    RandomShift,
)
from striate.data.loader import Transform
from striate.models import create_model
from striate.optim import SGD, Adam, OneCycleLR, Optimizer
from striate.training import (
    Callback,
    CheckpointFile,
    Evaluation,
    History,
    JsonLog,
    evaluate,
    fit,
)

AUGMENT = Compose((RandomHorizontalFlip(), RandomShift(1), FASHION_MNIST_NORMALIZE))


@dataclass(frozen=True)
class Preset:
    """How an architecture is trained unless the command line says otherwise.

    The learning rate is the peak of a one-cycle schedule, `epochs` an entry for each dataset.
    """

    epochs: Mapping[str, int]
    batch_size: int
    learning_rate: float
    optimizer: Callable[..., Optimizer]
    options: Mapping[str, Any]
    transform: Transform


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "fashion_cnn": Preset(
            epochs={"sample": 12, "fashion-mnist": 5},
            batch_size=64,
            learning_rate=0.05,
            optimizer=SGD,
            options={"momentum": 0.9, "weight_decay": 2e-3},
            transform=AUGMENT,
        ),
        "lecture003_cnn": Preset(
            epochs={"sample": 20, "fashion-mnist": 12},
            batch_size=128,
            learning_rate=2e-3,
            optimizer=Adam,
            options={},
            transform=AUGMENT,
        ),
        "lecture003_mlp": Preset(
            epochs={"sample": 20, "fashion-mnist": 10},
            batch_size=128,
            learning_rate=1e-3,
            optimizer=Adam,
            options={},
            transform=FASHION_MNIST_NORMALIZE,
        ),
    }
)


@dataclass(frozen=True)
class Recipe:
    """What of a training can be chosen."""

    model: str
    data: str
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int


class Run:
    """The parts of one training run, put together as the recipe says and ready to `learn`."""

    def __init__(self, recipe: Recipe, train_set: ArrayDataset, test_set: ArrayDataset) -> None:
        # Two streams, so that another architecture does not change the order of the batches.
        weights_seed, batches_seed = np.random.SeedSequence(recipe.seed).spawn(2)
        preset = PRESETS[recipe.model]
        self.recipe = recipe
        self.train = DataLoader(
            train_set,
            min(recipe.batch_size, len(train_set)),
            shuffle=True,
            drop_last=True,  # batch norm does badly on a handful of images
            transform=preset.transform,
            rng=np.random.default_rng(batches_seed),
        )
        # Nothing is drawn from this seed, but checkpoints hold its state too.
        self.test = DataLoader(test_set, 250, transform=FASHION_MNIST_NORMALIZE, rng=0)
        self.model = create_model(
            recipe.model, len(FASHION_MNIST_CLASSES), rng=np.random.default_rng(weights_seed)
        )
        self.optimizer = preset.optimizer(
            self.model.parameters(), lr=recipe.learning_rate, **preset.options
        )
        self.schedule = OneCycleLR(
            self.optimizer,
            max_lr=recipe.learning_rate,
            total_steps=recipe.epochs * len(self.train),
        )

    @property
    def parameters(self) -> int:
        """How many numbers the model has: those learnt, and the running statistics."""
        running = (v.size for _, v in self.model.named_buffers() if v.dtype.kind == "f")
        return self.learnt + sum(running)

    @property
    def learnt(self) -> int:
        """How many numbers are learnt."""
        return sum(parameter.size for parameter in self.model.parameters())

    @property
    def settings(self) -> dict[str, Any]:
        """What makes this run this run: two with the same settings end with the same weights."""
        return {**asdict(self.recipe), "train_images": len(self.train.dataset)}

    def checkpoint_file(self, path: Path, every: int | None, resume: bool) -> CheckpointFile:
        return CheckpointFile(
            path,
            every=every,
            resume=resume,
            settings=self.settings,
            architecture=self.recipe.model,
            classes=FASHION_MNIST_CLASSES,
            normalize=FASHION_MNIST_NORMALIZE,
        )

    def learn(
        self, checkpoint: CheckpointFile, log: Path, callbacks: Sequence[Callback]
    ) -> tuple[History, Evaluation]:
        """Train to the end, keeping `checkpoint` and `log` up to date."""
        history = fit(
            self.model,
            self.train,
            self.test,
            epochs=self.recipe.epochs,
            optimizer=self.optimizer,
            schedule=self.schedule,
            callbacks=[JsonLog(log, self.settings), *callbacks],
            checkpoint=checkpoint,
        )
        return history, evaluate(self.model, self.test)
