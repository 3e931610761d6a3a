"""The default training, whole: network, augmentation, optimizer, schedule, checkpoints.

The weights of the last epoch are the result, whatever the curve looked like on the way: the test
images are looked at after every epoch, but nothing is selected on them. The numbers below were
chosen on 5,000 other images, from the full training split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
from striate.models import create_model
from striate.optim import SGD, OneCycleLR
from striate.training import (
    Checkpoint,
    EpochRecord,
    Evaluation,
    History,
    evaluate,
    fit,
    save_checkpoint,
)

ARCHITECTURE = "fashion_cnn"
MOMENTUM = 0.9
WEIGHT_DECAY = 2e-3
AUGMENT = Compose((RandomHorizontalFlip(), RandomShift(1), FASHION_MNIST_NORMALIZE))


@dataclass(frozen=True)
class Recipe:
    """What of the default training can be chosen."""

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int


class Run:
    """The parts of one training run, put together as the recipe says and ready to `learn`."""

    def __init__(self, recipe: Recipe, train_set: ArrayDataset, test_set: ArrayDataset) -> None:
        # Two streams, so that another architecture does not change the order of the batches.
        weights_seed, batches_seed = np.random.SeedSequence(recipe.seed).spawn(2)
        self.recipe = recipe
        self.train = DataLoader(
            train_set,
            min(recipe.batch_size, len(train_set)),
            shuffle=True,
            drop_last=True,  # batch norm does badly on a handful of images
            transform=AUGMENT,
            rng=np.random.default_rng(batches_seed),
        )
        self.test = DataLoader(test_set, 250, transform=FASHION_MNIST_NORMALIZE)
        self.model = create_model(
            ARCHITECTURE, len(FASHION_MNIST_CLASSES), rng=np.random.default_rng(weights_seed)
        )
        self.optimizer = SGD(
            self.model.parameters(),
            lr=recipe.learning_rate,
            momentum=MOMENTUM,
            weight_decay=WEIGHT_DECAY,
        )
        self.steps = recipe.epochs * len(self.train)
        self.schedule = OneCycleLR(
            self.optimizer, max_lr=recipe.learning_rate, total_steps=self.steps
        )

    @property
    def parameters(self) -> int:
        """How many numbers are learnt."""
        return sum(parameter.size for parameter in self.model.parameters())

    def learn(
        self,
        checkpoint: Path,
        on_batch: Callable[[int, int], None],
        on_epoch: Callable[[EpochRecord], None],
    ) -> tuple[History, Evaluation]:
        """Train to the end; `checkpoint` is replaced after every epoch, before `on_epoch`."""

        def save_then_tell(record: EpochRecord) -> None:
            self.save(checkpoint, record.epoch)
            on_epoch(record)

        history = fit(
            self.model,
            self.train,
            self.test,
            epochs=self.recipe.epochs,
            optimizer=self.optimizer,
            schedule=self.schedule,
            on_batch=on_batch,
            on_epoch=save_then_tell,
        )
        return history, evaluate(self.model, self.test)

    def save(self, path: Path, epoch: int) -> None:
        state = {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "loader": self.train.state_dict(),
        }
        save_checkpoint(
            path,
            Checkpoint(
                architecture=ARCHITECTURE,
                classes=FASHION_MNIST_CLASSES,
                normalize=FASHION_MNIST_NORMALIZE,
                epoch=epoch,
                state=self.model.state_dict(),
                training=state,
            ),
        )
